-- +goose Up
-- Reminders that training ends: what was promised, so that it is promised once.
-- A row is forgotten when the training it speaks of has ended.

create table reminder (
  user_id text collate "C" not null,
  expires timestamptz not null,
  days    bigint not null,  -- before the end: the last reminder that was promised
  primary key (user_id, expires)
);
create index reminder_expires on reminder (expires);

-- Who is to be reminded is read in this order, and only the month ahead.
create index users_training_expires on users (training_expires, id) where deleted is null and active and training_expires is not null;
