-- +goose Up
-- Access reviews: a participant's user managers decide about everybody there who
-- had access at an instant.

create table review (
  id          text primary key,
  participant text not null,
  state       text not null,
  as_of       integer not null,
  due         integer not null,
  on_silence  text not null,
  note        text not null,
  started_by  text not null,
  prepared    text not null,     -- id of the last user who was looked at for an item
  opened      integer,
  reminded    integer not null,  -- days of the last reminder, 0 for none
  escalated   integer,
  undecided   integer not null,
  closed      integer,
  closed_by   text not null,
  entry       text not null,     -- of the closing
  digest      text not null,     -- of the report, which the entry holds
  row_version integer not null
);
create unique index review_open on review (participant) where state <> 'closed';
create index review_participant on review (participant, as_of, id);
create index review_as_of on review (as_of, id);

-- Ids and words of the policy; the comment alone may be about a person, and an
-- erasure empties it.
create table review_item (
  review           text not null,
  user_id          text not null,
  participant      text not null,
  state            text not null,
  made_version     integer not null,
  made_role        text not null,
  made_title       text not null,  -- normal form
  made_rule        text not null,
  changed          integer,
  decision         text not null,  -- keep, revoke, '' for none
  at               integer,
  by_subject       text not null,
  decided_version  integer not null,
  decided_role     text not null,
  decided_title    text not null,
  decided_rule     text not null,
  hold             text not null,
  comment          text not null,
  primary key (review, user_id)
) without rowid;
create index review_item_state on review_item (review, state, user_id);
create index review_item_user on review_item (user_id);
