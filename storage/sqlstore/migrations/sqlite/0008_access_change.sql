-- +goose Up
-- Of whom the portal should ask again: one row per change of what it would see,
-- written in the transaction of the change. There is one writer at a time, so
-- the order of ids is the order of commits; no id is used twice. Rows are
-- forgotten after days.

create table access_change (
  id          integer primary key autoincrement,
  participant text not null,  -- '' for all
  user_id     text not null,  -- '' for everybody there
  at          integer not null
);
