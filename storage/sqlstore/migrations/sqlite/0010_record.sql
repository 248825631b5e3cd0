-- +goose Up
-- The record: what is personal of a version has a row of its own, which an
-- erasure takes, and the version's digest covers a salted digest in its place;
-- entries have positions in a log, its tree and its checkpoints.

alter table users add column erased integer;

create table user_personal (
  user_id text not null,
  version integer not null,
  salt    blob not null,  -- of its own; empty for versions from before, whose whole body is here
  body    text not null,
  primary key (user_id, version)
) without rowid;

drop trigger user_history_no_update;
insert into user_personal (user_id, version, salt, body) select user_id, version, x'', body from user_history;
update user_history set body = '';
-- +goose StatementBegin
create trigger user_history_no_update before update on user_history begin
  select raise(abort, 'user_history is append-only');
end;
-- +goose StatementEnd

drop trigger audit_entry_no_update;
alter table audit_entry add column actor text not null default '';  -- subject, or jti where there is none
update audit_entry set actor = coalesce(nullif(json_extract(cast(canonical as text), '$.actor.subject'), ''), json_extract(cast(canonical as text), '$.actor.token'), '');
-- +goose StatementBegin
create trigger audit_entry_no_update before update on audit_entry begin
  select raise(abort, 'audit_entry is append-only');
end;
-- +goose StatementEnd

-- Ids rise with time, so that a page by id is a page by time.
create index audit_entry_participant on audit_entry (participant, id) where participant <> '';
create index audit_entry_actor on audit_entry (actor, id) where actor <> '';
create index audit_entry_action on audit_entry (action, id);

-- Where entries stand in the log: given by one process, never changed.
create table audit_position (
  position    integer primary key,  -- from 0, without gaps
  entry_id    text not null,
  participant text not null,
  number      integer not null,     -- of the participant, from 1, without gaps
  leaf        blob not null         -- RFC 6962 hash
);
create unique index audit_position_entry on audit_position (entry_id);
create unique index audit_position_number on audit_position (participant, number);

-- Inner nodes of the tree that are complete, at every eighth level.
create table audit_node (
  level integer not null,
  n     integer not null,
  hash  blob not null,
  primary key (level, n)
) without rowid;

create table audit_head (
  one     integer primary key check (one = 1),
  size    integer not null,
  edge    blob not null,
  root    blob not null,
  note    text not null,    -- the newest signed checkpoint, '' before the first
  signed  integer,
  note_of integer not null  -- leaves that it covers
);
insert into audit_head (one, size, edge, root, note, signed, note_of)
  values (1, 0, x'', x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '', null, 0);

-- Checkpoints that are kept: one in a while, and those that left the machine.
create table audit_checkpoint (
  size integer not null,
  at   integer not null,
  note text not null,
  primary key (size, at)
) without rowid;

-- +goose StatementBegin
create trigger audit_position_no_update before update on audit_position begin
  select raise(abort, 'audit_position is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_position_no_delete before delete on audit_position begin
  select raise(abort, 'audit_position is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_node_no_update before update on audit_node begin
  select raise(abort, 'audit_node is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_node_no_delete before delete on audit_node begin
  select raise(abort, 'audit_node is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_checkpoint_no_update before update on audit_checkpoint begin
  select raise(abort, 'audit_checkpoint is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_checkpoint_no_delete before delete on audit_checkpoint begin
  select raise(abort, 'audit_checkpoint is append-only');
end;
-- +goose StatementEnd
