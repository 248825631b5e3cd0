-- +goose Up
-- The record: what is personal of a version has a row of its own, which an
-- erasure takes, and the version's digest covers a salted digest in its place;
-- entries have positions in a log, its tree and its checkpoints.

alter table users add column erased timestamptz;

create table user_personal (
  user_id text collate "C" not null,
  version bigint not null,
  salt    bytea not null,  -- of its own; empty for versions from before, whose whole body is here
  body    text not null,
  primary key (user_id, version)
);

drop trigger user_history_append_only on user_history;
insert into user_personal (user_id, version, salt, body) select user_id, version, '', body from user_history;
update user_history set body = '';
create trigger user_history_append_only before update or delete on user_history for each row execute function append_only();

drop trigger audit_entry_append_only on audit_entry;
alter table audit_entry add column actor text collate "C" not null default '';  -- subject, or jti where there is none
update audit_entry set actor = coalesce(nullif(convert_from(canonical, 'UTF8')::jsonb #>> '{actor,subject}', ''), convert_from(canonical, 'UTF8')::jsonb #>> '{actor,token}', '');
create trigger audit_entry_append_only before update or delete on audit_entry for each row execute function append_only();

-- Ids rise with time, so that a page by id is a page by time.
create index audit_entry_participant on audit_entry (participant, id) where participant <> '';
create index audit_entry_actor on audit_entry (actor, id) where actor <> '';
create index audit_entry_action on audit_entry (action, id);

-- Where entries stand in the log: given by one process, never changed.
create table audit_position (
  position    bigint primary key,  -- from 0, without gaps
  entry_id    text collate "C" not null,
  participant text collate "C" not null,
  number      bigint not null,     -- of the participant, from 1, without gaps
  leaf        bytea not null       -- RFC 6962 hash
);
create unique index audit_position_entry on audit_position (entry_id);
create unique index audit_position_number on audit_position (participant, number);

-- Inner nodes of the tree that are complete, at every eighth level.
create table audit_node (
  level integer not null,
  n     bigint not null,
  hash  bytea not null,
  primary key (level, n)
);

create table audit_head (
  one     integer primary key check (one = 1),
  size    bigint not null,
  edge    bytea not null,
  root    bytea not null,
  note    text not null,    -- the newest signed checkpoint, '' before the first
  signed  timestamptz,
  note_of bigint not null   -- leaves that it covers
);
insert into audit_head (one, size, edge, root, note, signed, note_of)
  values (1, 0, '', '\xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '', null, 0);

-- Checkpoints that are kept: one in a while, and those that left the machine.
create table audit_checkpoint (
  size bigint not null,
  at   timestamptz not null,
  note text not null,
  primary key (size, at)
);

create trigger audit_position_append_only before update or delete on audit_position for each row execute function append_only();
create trigger audit_position_no_truncate before truncate on audit_position for each statement execute function append_only();
create trigger audit_node_append_only before update or delete on audit_node for each row execute function append_only();
create trigger audit_node_no_truncate before truncate on audit_node for each statement execute function append_only();
create trigger audit_checkpoint_append_only before update or delete on audit_checkpoint for each row execute function append_only();
create trigger audit_checkpoint_no_truncate before truncate on audit_checkpoint for each statement execute function append_only();
