-- +goose Up
-- Times are INTEGER microseconds since 1970 UTC; booleans are 0 and 1. Rows carry
-- every value themselves; no column has a default. An absent text is '', so that it
-- can be sorted and compared.

create table instance (
  one     integer primary key check (one = 1),  -- there is one row
  id      text not null,  -- the tokens' issuer
  created integer not null
);

create table participant (
  id        text primary key,
  name      text not null,
  type      text not null,
  status    text not null,
  mode      text not null,
  settings  text not null,
  reason    text not null,
  closed_at integer,
  version   integer not null,
  created   integer not null,
  changed   integer not null
);

create table participant_history (
  participant text not null,
  version     integer not null,
  valid_from  integer not null,
  body        text not null,  -- its bytes are what the digest covers
  digest      text not null,
  primary key (participant, version)
);

create table users (
  id                text primary key,
  participant       text not null references participant(id),
  version           integer not null,
  user_name         text not null,
  user_name_key     text not null,
  external_id       text not null,
  display_name      text not null,
  display_name_key  text not null,
  given_name        text not null,
  given_name_key    text not null,
  family_name       text not null,
  family_name_key   text not null,
  email             text not null,
  email_key         text not null,
  mobile            text not null,
  title             text not null,
  title_fold        text not null,
  title_key         text not null,
  department        text not null,
  department_fold   text not null,
  active            integer not null,
  shared_external   integer not null,  -- externalId need not be unique there
  document          text not null,
  fold              text not null,
  status            text not null,  -- of the decision, as decided
  role              text not null,
  title_role        text not null,
  requested_role    text not null,
  permissions       text not null,
  closed_gates      text not null,
  title_since       integer,  -- when gate title closed
  transition        integer not null,
  reason            text not null,
  policy_version    integer not null,
  decided_at        integer not null,
  closed_seen       integer,  -- the participant's last closing that the decision knew of
  valid_until       integer,
  training_expires  integer,
  decision          text not null,  -- without its trace
  trace             text not null,
  healthix_username text not null,
  clinical_alerts   text not null,
  released_at       integer,
  closed_at         integer,
  invited_at        integer,
  created           integer not null,
  modified          integer not null,
  deleted           integer
);
create unique index users_user_name on users (participant, user_name_key) where deleted is null;
create unique index users_external_id on users (participant, external_id) where deleted is null and external_id <> '' and not shared_external;
create index users_external_id_lookup on users (participant, external_id) where deleted is null;
create unique index users_healthix_username on users (healthix_username) where healthix_username <> '';
create index users_created on users (participant, created, id) where deleted is null;
create index users_email on users (email_key, created) where deleted is null and active and email_key <> '';
create index users_title_key on users (participant, title_key) where deleted is null and active and title_role = '';
create index users_valid_until on users (valid_until) where deleted is null and status = 'released' and valid_until is not null;

-- SQLite has no index into JSON arrays: e-mail values stand here too.
create table user_email (
  participant text not null,
  email_key   text not null,
  user_id     text not null,
  primary key (participant, email_key, user_id)
) without rowid;
create index user_email_user on user_email (user_id);

create table user_history (
  user_id     text not null,
  version     integer not null,
  participant text not null,
  valid_from  integer not null,  -- rises strictly per user
  body        text not null,  -- its bytes are what the digest covers
  digest      text not null,
  primary key (user_id, version)
);
create index user_history_as_of on user_history (participant, user_id, valid_from desc);

-- Who holds an address, system-wide: two cannot both find it free.
create table email_owner (
  email_key text primary key,
  user_id   text not null
);

create table groups (
  id               text primary key,
  participant      text not null references participant(id),
  version          integer not null,
  display_name     text not null,
  display_name_key text not null,
  external_id      text not null,
  document         text not null,
  fold             text not null,
  created          integer not null,
  modified         integer not null,
  deleted          integer
);
create index groups_display_name on groups (participant, display_name_key) where deleted is null;
create unique index groups_external_id on groups (participant, external_id) where deleted is null and external_id <> '';
create index groups_created on groups (participant, created, id) where deleted is null;

create table group_history (
  group_id    text not null,
  version     integer not null,
  participant text not null,
  valid_from  integer not null,
  body        text not null,  -- its bytes are what the digest covers: group and delta of members
  digest      text not null,
  primary key (group_id, version)
);

create table group_member (
  group_id  text not null,
  member_id text not null,
  type      text not null,  -- User, Group
  primary key (group_id, member_id)
);
create index group_member_member on group_member (member_id, group_id);

create table token (
  id          text primary key,  -- jti
  participant text not null,
  scope       text not null,
  subject     text not null,
  label       text not null,
  issued      integer not null,
  issued_by   text not null,
  expires     integer not null,
  revoked     integer,
  last_used   integer
);
create index token_participant on token (participant, issued);

create table evidence (
  id           text primary key,
  user_id      text not null,
  participant  text not null,
  gate         text not null,
  module       text not null,
  completed_at integer not null,
  valid_until  integer,
  source       text not null,
  note         text not null,
  actor        text not null,
  recorded     integer not null,
  revoked      integer,
  revoked_why  text not null
);
create index evidence_user on evidence (user_id, recorded);

create table approval (
  id          text primary key,
  user_id     text not null,
  participant text not null,
  approved    integer not null,
  role        text not null,
  title       text not null,
  at          integer not null,
  valid_until integer,
  actor       text not null,
  reason      text not null,
  ended       integer
);
create index approval_user on approval (user_id, at);

create table hold (
  id          text primary key,
  user_id     text not null,
  participant text not null,
  reason      text not null,
  since       integer not null,
  actor       text not null,
  lifted      integer
);
create index hold_user on hold (user_id, since);

create table activation (
  id          text primary key,
  user_id     text not null,
  participant text not null,
  code_hash   blob not null unique,
  issued      integer not null,
  expires     integer not null,
  voided      integer,
  closed_seen integer,
  redeemed    integer,
  redeem_key  text not null
);
create index activation_user on activation (user_id, issued desc);

create table policy_version (
  version  integer primary key not null,
  digest   text not null,
  document blob not null,
  applied  integer not null,
  actor    text not null
);

create table audit_entry (
  id          text primary key,
  at          integer not null,
  participant text not null,
  user_id     text not null,
  action      text not null,
  canonical   blob not null,
  hash        text not null
);
create index audit_entry_user on audit_entry (user_id, at, id) where user_id <> '';

-- Personal values, each with its own salt: what an erasure empties.
create table audit_personal (
  entry_id text not null,
  n        integer not null,
  name     text not null,
  salt     blob not null,
  value    text not null,
  primary key (entry_id, n)
);

-- Entries that have no position in the log yet. A set: no order is relied upon.
create table audit_pending (
  entry_id text primary key
);

-- +goose StatementBegin
create trigger participant_history_no_update before update on participant_history begin
  select raise(abort, 'participant_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger participant_history_no_delete before delete on participant_history begin
  select raise(abort, 'participant_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger user_history_no_update before update on user_history begin
  select raise(abort, 'user_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger user_history_no_delete before delete on user_history begin
  select raise(abort, 'user_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger group_history_no_update before update on group_history begin
  select raise(abort, 'group_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger group_history_no_delete before delete on group_history begin
  select raise(abort, 'group_history is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger policy_version_no_update before update on policy_version begin
  select raise(abort, 'policy_version is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger policy_version_no_delete before delete on policy_version begin
  select raise(abort, 'policy_version is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_entry_no_update before update on audit_entry begin
  select raise(abort, 'audit_entry is append-only');
end;
-- +goose StatementEnd
-- +goose StatementBegin
create trigger audit_entry_no_delete before delete on audit_entry begin
  select raise(abort, 'audit_entry is append-only');
end;
-- +goose StatementEnd
