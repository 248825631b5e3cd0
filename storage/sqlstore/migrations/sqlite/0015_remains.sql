-- +goose Up
-- What an erasure leaves of a version from before there were two halves: its
-- public members. The bytes that its digest covers are gone.

create table user_remains (
  user_id text not null,
  version integer not null,
  body    text not null,
  primary key (user_id, version)
) without rowid;

-- +goose StatementBegin
create trigger user_remains_no_update before update on user_remains begin
  select raise(abort, 'user_remains is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger user_remains_no_delete before delete on user_remains begin
  select raise(abort, 'user_remains is append-only');
end;
-- +goose StatementEnd
