-- +goose Up
-- Policy as a product: plans, whom they touch, and what is left to those who
-- lose while a new version is carried out.
--
-- Columns added here keep a default: SQLite cannot add them without one.

alter table policy_version add column participant text not null default '';  -- whose overlay it is, '' for the policy of all
alter table policy_version add column plan        text not null default '';  -- that was applied
create index policy_version_participant on policy_version (participant, version);

create table policy_plan (
  id           text primary key,
  participant  text not null,
  base         integer not null,
  document     blob not null,
  digest       text not null,
  state        text not null,
  summary      text not null,  -- JSON, '' while it is computed
  origin       text not null,
  note         text not null,
  actor        text not null,
  token        text not null,  -- jti of who made it, '' for a command
  created      integer not null,
  confirmed    integer,
  confirmed_by text not null,
  at           integer,  -- when it is to come into force
  applied_by   text not null,
  version      integer not null,  -- under which it came into force, 0 when it did not
  carried      integer,  -- when everybody concerned was decided again
  changed      integer not null,
  holder       text not null,
  held_until   integer,
  row_version  integer not null
);
create index policy_plan_created on policy_plan (created, id);

-- The plan that is being applied: one row at most.
create table policy_pending (
  one  integer primary key check (one = 1),
  plan text not null
);

-- The newest version's plan until everybody concerned was decided again: one row
-- at most, which every reader of users asks for.
create table policy_carrying (
  one     integer primary key check (one = 1),
  plan    text not null,
  version integer not null
);

-- Working rows. Of a person they hold the id, and words of the policy.
create table policy_plan_person (
  plan        text not null,
  user_id     text not null,
  participant text not null,
  class       text not null,
  change      text not null,
  primary key (plan, user_id)
) without rowid;
create index policy_plan_person_class on policy_plan_person (plan, class, user_id);
create index policy_plan_person_participant on policy_plan_person (plan, participant, user_id);

-- What a plan does to people from the instant at which it comes into force;
-- readers join it until a person is decided under the new version.
create table policy_effect (
  plan      text not null,
  user_id   text not null,
  loses     integer not null,
  narrowing text not null,  -- permissions that are left at most, role, gate that closes when none is
  primary key (plan, user_id)
) without rowid;
create index policy_effect_order on policy_effect (plan, loses, user_id);

alter table users add column job_code_title text not null default '';  -- what the job code stands for, when it disagrees with the title
-- What walks over everybody read, beside the documents it is in. NULL in rows
-- that were written before: nobody is rewritten for it.
alter table users add column user_type text;
alter table users add column npi       text;
alter table users add column rule      text;
create index users_job_code on users (participant, title_key) where deleted is null and active and job_code_title <> '';
-- For walks over a participant's active people, and for counting them without
-- reading their rows.
create index users_active on users (participant, id, status) where deleted is null and active;
-- For the peers of a waiting title.
create index users_department on users (participant, department_fold) where deleted is null and active and title_role <> '' and department_fold <> '';
