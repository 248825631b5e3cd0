-- +goose Up
-- After a restore from backup, a participant's gate stays closed until its
-- identity provider has told of everybody since.

alter table participant add column recovering integer;
