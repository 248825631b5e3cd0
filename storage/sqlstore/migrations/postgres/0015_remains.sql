-- +goose Up
-- What an erasure leaves of a version from before there were two halves: its
-- public members. The bytes that its digest covers are gone.

create table user_remains (
  user_id text collate "C" not null,
  version bigint not null,
  body    text not null,
  primary key (user_id, version)
);

create trigger user_remains_append_only before update or delete on user_remains for each row execute function append_only();
create trigger user_remains_no_truncate before truncate on user_remains for each statement execute function append_only();
