-- +goose Up
-- What identity providers sent and what was answered, masked before it came here.
-- Kept for support, not as evidence: rows are forgotten by age.

create table request_log (
  participant text collate "C" not null,  -- '': no valid token named one
  at          timestamptz not null,
  id          text collate "C" not null,
  request_id  text collate "C" not null,
  token       text collate "C" not null,
  token_label text not null,
  address     text not null,
  method      text not null,
  route       text not null,
  resource    text collate "C" not null,
  status      integer not null,
  took        bigint not null,  -- microseconds
  bytes_in    bigint not null,
  bytes_out   bigint not null,
  leniencies  text not null,  -- JSON array of names
  dropped     text not null,  -- JSON array of names
  user_agent  text not null,
  query       text not null,
  request     text not null,
  answer      text not null,
  primary key (participant, at, id)
);
create index request_log_resource on request_log (participant, resource, at, id) where resource <> '';
create index request_log_refused on request_log (participant, at, id) where status >= 400;
-- For forgetting by age. A b-tree here would tempt the planner to read one
-- participant's page out of everybody's rows.
create index request_log_at on request_log using brin (at);
