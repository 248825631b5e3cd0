-- +goose Up
-- What identity providers sent and what was answered, masked before it came here.
-- Kept for support, not as evidence: rows are forgotten by age.

create table request_log (
  participant text not null,  -- '': no valid token named one
  at          integer not null,
  id          text not null,
  request_id  text not null,
  token       text not null,
  token_label text not null,
  address     text not null,
  method      text not null,
  route       text not null,
  resource    text not null,
  status      integer not null,
  took        integer not null,  -- microseconds
  bytes_in    integer not null,
  bytes_out   integer not null,
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
create index request_log_at on request_log (at);
