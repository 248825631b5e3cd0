-- +goose Up
-- How far the stream of entries to the outside has come: the first position of
-- the log that was not taken there yet.

create table audit_stream (
  one      integer primary key check (one = 1),
  position bigint not null
);
insert into audit_stream (one, position) values (1, 0);
