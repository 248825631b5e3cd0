-- +goose Up
-- OAuth clients: machines that fetch short-lived tokens with a secret or with a
-- signature. A token names its client, and is revoked with it.
--
-- Columns added here keep a default, for servers of the release before still
-- write rows without them while a cluster is updated.

create table client (
  id          text collate "C" primary key,
  participant text collate "C" not null,
  label       text not null,
  scopes      text not null,  -- separated by spaces
  secret_hash bytea not null,  -- SHA-256 of a random secret; empty when it signs
  keys        text not null,  -- public keys, a JSON Web Key Set; '' when it has a secret
  created     timestamptz not null,
  created_by  text not null,
  expires     timestamptz not null,
  revoked     timestamptz,
  last_used   timestamptz,
  warned      integer not null  -- days before its end for which a warning was promised last, 0 for none
);
create index client_participant on client (participant, created);
create index client_expires on client (expires) where revoked is null;

-- Assertions by which clients proved themselves, by their own id (a digest of
-- it): none is taken twice, on any node. Rows are forgotten once they ended.
create table client_assertion (
  client  text collate "C" not null,
  id      text collate "C" not null,
  expires timestamptz not null,
  primary key (client, id)
);
create index client_assertion_expires on client_assertion (expires);

alter table token add column client text collate "C" not null default '';  -- that fetched it, '' when it was issued by hand
alter table token add column warned integer not null default 0;  -- as of a client
-- Tokens of clients are forgotten once they ended; the others stay.
create index token_client on token (expires) where client <> '';
create index token_expires on token (expires) where client = '' and revoked is null;
