-- +goose Up
-- The mass-change breaker: who lost access or active by a participant's own
-- writes, and the cases that stage how it was before.

-- One row per participant whose people ever lost something. A deed that takes
-- something locks it, so that each counts the losses of all before it.
create table breaker (
  participant text collate "C" primary key
);

create table breaker_case (
  id          text collate "C" primary key,
  participant text collate "C" not null,
  opened      timestamptz not null,
  since       timestamptz not null,
  threshold   text not null,
  people      bigint not null,
  base        bigint not null,
  restore_at  timestamptz,
  restore_by  text not null,
  excepted    text not null,  -- JSON array of ids
  closed      timestamptz,
  closed_by   text not null,
  outcome     text collate "C" not null,
  restored    bigint not null,
  listed      text not null,  -- JSON array of ids and reasons
  row_version bigint not null
);
create unique index breaker_case_open on breaker_case (participant) where closed is null;
create index breaker_case_participant on breaker_case (participant, opened);

-- Working rows: forgotten after a day, or with their case.
create table breaker_loss (
  user_id     text collate "C" not null,
  version     bigint not null,  -- of the user before the write
  participant text collate "C" not null,
  at          timestamptz not null,
  prior       timestamptz not null,
  kind        text collate "C" not null,
  case_id     text collate "C" not null,  -- '' while no case stages it
  outcome     text collate "C" not null,  -- '' while it is staged
  why         text not null,
  preimage    text not null,  -- JSON, '' once it came to an outcome
  primary key (user_id, version)
);
create index breaker_loss_window on breaker_loss (participant, at, user_id) where case_id = '';
create index breaker_loss_case on breaker_loss (case_id, user_id, at) where case_id <> '';
create index breaker_loss_at on breaker_loss (at) where case_id = '';

-- Who stopped being active, and when: part of whom a share is a share of.
create index users_left on users (participant, closed_at) where (not active or deleted is not null) and closed_at is not null;
