-- +goose Up
-- Access reviews: a participant's user managers decide about everybody there who
-- had access at an instant.

create table review (
  id          text collate "C" primary key,
  participant text collate "C" not null,
  state       text collate "C" not null,
  as_of       timestamptz not null,
  due         timestamptz not null,
  on_silence  text collate "C" not null,
  note        text not null,
  started_by  text not null,
  prepared    text collate "C" not null,     -- id of the last user who was looked at for an item
  opened      timestamptz,
  reminded    bigint not null,  -- days of the last reminder, 0 for none
  escalated   timestamptz,
  undecided   bigint not null,
  closed      timestamptz,
  closed_by   text not null,
  entry       text collate "C" not null,     -- of the closing
  digest      text collate "C" not null,     -- of the report, which the entry holds
  row_version bigint not null
);
create unique index review_open on review (participant) where state <> 'closed';
create index review_participant on review (participant, as_of, id);
create index review_as_of on review (as_of, id);

-- Ids and words of the policy; the comment alone may be about a person, and an
-- erasure empties it.
create table review_item (
  review           text collate "C" not null,
  user_id          text collate "C" not null,
  participant      text collate "C" not null,
  state            text collate "C" not null,
  made_version     bigint not null,
  made_role        text collate "C" not null,
  made_title       text collate "C" not null,  -- normal form
  made_rule        text not null,
  changed          timestamptz,
  decision         text collate "C" not null,  -- keep, revoke, '' for none
  at               timestamptz,
  by_subject       text not null,
  decided_version  bigint not null,
  decided_role     text collate "C" not null,
  decided_title    text collate "C" not null,
  decided_rule     text not null,
  hold             text collate "C" not null,
  comment          text not null,
  primary key (review, user_id)
);
create index review_item_state on review_item (review, state, user_id);
create index review_item_user on review_item (user_id);
