-- +goose Up
-- Servers that share this database, by their last sign of life.
create table node (
  id   text primary key,
  seen integer not null
);
