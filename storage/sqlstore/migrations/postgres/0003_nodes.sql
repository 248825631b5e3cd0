-- +goose Up
-- Servers that share this database, by their last sign of life.
create table node (
  id   text collate "C" primary key,
  seen timestamptz not null
);
