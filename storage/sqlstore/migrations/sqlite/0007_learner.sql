-- +goose Up
-- Enrolment: users as the LMS knows them, and what it is to be told of them. A
-- row is made when somebody is to be trained there; it is a list of work too, of
-- which one process at a time takes its pieces.

create table learner (
  user_id     text primary key,
  participant text not null,
  lms_id      text not null,  -- '' while nobody is enrolled
  state       text not null,  -- waiting, enrolled, refused, off
  why         text not null,  -- it was refused, or waits still; ids only
  modules     text not null,  -- courses and paths assigned, JSON array of the LMS's ids
  refresh     text not null,  -- modules to be taken again, JSON array of the policy's ids
  resets      text not null,  -- by course, the end of the training for which it was reset, JSON object
  invite      text not null,  -- key of the invitation that waits for the enrolment, '' for none
  policy      integer not null,  -- version that it was brought in line with
  due         integer,  -- when the LMS is told next
  asked       integer,  -- when it is asked what was completed
  tries       integer not null,  -- that went wrong in a row
  changed     integer not null,
  row_version integer not null
);
-- One record there is one person here: what it says counts for nobody else.
create unique index learner_lms_id on learner (lms_id) where lms_id <> '';
create index learner_due on learner (due, user_id) where due is not null;
create index learner_asked on learner (asked, user_id) where asked is not null;
create index learner_state on learner (state, user_id);
create index learner_participant on learner (participant, user_id);

-- How far a walk came that is taken up again.
create table bookmark (
  name text primary key,
  at   integer not null
);

-- Work that one process at a time does, as long as it gives signs of life.
create table lease (
  name   text primary key,
  holder text not null,
  until  integer not null
);
