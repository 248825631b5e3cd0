-- +goose Up
-- Of whom the portal should ask again: one row per change of what it would see,
-- written in the transaction of the change. Rows are read in the order of
-- (tx, id), and only those of transactions below the oldest that is still under
-- way: who commits late comes later in the order of reading, and is never
-- skipped. Rows are forgotten after days.
--
-- Only the database knows the number of a transaction, hence the default.

create table access_change (
  tx          bigint not null default (pg_current_xact_id()::text::bigint),
  id          bigint generated always as identity,
  participant text collate "C" not null,  -- '' for all
  user_id     text collate "C" not null,  -- '' for everybody there
  at          timestamptz not null,
  primary key (tx, id)
);
