-- +goose Up
-- Enrolment: users as the LMS knows them, and what it is to be told of them. A
-- row is made when somebody is to be trained there; it is a list of work too, of
-- which one process at a time takes its pieces.

create table learner (
  user_id     text collate "C" primary key,
  participant text collate "C" not null,
  lms_id      text collate "C" not null,  -- '' while nobody is enrolled
  state       text collate "C" not null,  -- waiting, enrolled, refused, off
  why         text not null,  -- it was refused, or waits still; ids only
  modules     text not null,  -- courses and paths assigned, JSON array of the LMS's ids
  refresh     text not null,  -- modules to be taken again, JSON array of the policy's ids
  resets      text not null,  -- by course, the end of the training for which it was reset, JSON object
  invite      text not null,  -- key of the invitation that waits for the enrolment, '' for none
  policy      bigint not null,  -- version that it was brought in line with
  due         timestamptz,  -- when the LMS is told next
  asked       timestamptz,  -- when it is asked what was completed
  tries       bigint not null,  -- that went wrong in a row
  changed     timestamptz not null,
  row_version bigint not null
);
-- One record there is one person here: what it says counts for nobody else.
create unique index learner_lms_id on learner (lms_id) where lms_id <> '';
create index learner_due on learner (due, user_id) where due is not null;
create index learner_asked on learner (asked, user_id) where asked is not null;
create index learner_state on learner (state, user_id);
create index learner_participant on learner (participant, user_id);

-- How far a walk came that is taken up again.
create table bookmark (
  name text collate "C" primary key,
  at   timestamptz not null
);

-- Work that one process at a time does, as long as it gives signs of life.
create table lease (
  name   text collate "C" primary key,
  holder text collate "C" not null,
  until  timestamptz not null
);
