-- +goose Up
-- Keys are text collate "C": the same order as SQLite's BINARY, and a prefix is
-- a range of the index. Rows carry every value themselves; no column has a
-- default. An absent text is '', so that it can be sorted and compared.

create table instance (
  one     integer primary key check (one = 1),  -- there is one row
  id      text collate "C" not null,  -- the tokens' issuer
  created timestamptz not null
);

create table participant (
  id        text collate "C" primary key,
  name      text not null,
  type      text collate "C" not null,
  status    text collate "C" not null,
  mode      text collate "C" not null,
  settings  jsonb not null,
  reason    text not null,
  closed_at timestamptz,
  version   bigint not null,
  created   timestamptz not null,
  changed   timestamptz not null
);

create table participant_history (
  participant text collate "C" not null,
  version     bigint not null,
  valid_from  timestamptz not null,
  body        text not null,  -- its bytes are what the digest covers
  digest      text collate "C" not null,
  primary key (participant, version)
);

create table users (
  id                text collate "C" primary key,
  participant       text collate "C" not null references participant(id),
  version           bigint not null,
  user_name         text not null,
  user_name_key     text collate "C" not null,
  external_id       text collate "C" not null,
  display_name      text not null,
  display_name_key  text collate "C" not null,
  given_name        text not null,
  given_name_key    text collate "C" not null,
  family_name       text not null,
  family_name_key   text collate "C" not null,
  email             text not null,
  email_key         text collate "C" not null,
  mobile            text collate "C" not null,
  title             text not null,
  title_fold        text collate "C" not null,
  title_key         text collate "C" not null,
  department        text not null,
  department_fold   text collate "C" not null,
  active            boolean not null,
  shared_external   boolean not null,  -- externalId need not be unique there
  document          jsonb not null,
  fold              jsonb not null,
  status            text collate "C" not null,  -- of the decision, as decided
  role              text collate "C" not null,
  title_role        text collate "C" not null,
  requested_role    text collate "C" not null,
  permissions       jsonb not null,
  closed_gates      jsonb not null,
  title_since       timestamptz,  -- when gate title closed
  transition        boolean not null,
  reason            text not null,
  policy_version    bigint not null,
  decided_at        timestamptz not null,
  closed_seen       timestamptz,  -- the participant's last closing that the decision knew of
  valid_until       timestamptz,
  training_expires  timestamptz,
  decision          jsonb not null,  -- without its trace
  trace             jsonb not null,
  healthix_username text collate "C" not null,
  clinical_alerts   text collate "C" not null,
  released_at       timestamptz,
  closed_at         timestamptz,
  invited_at        timestamptz,
  created           timestamptz not null,
  modified          timestamptz not null,
  deleted           timestamptz
);
create unique index users_user_name on users (participant, user_name_key) where deleted is null;
create unique index users_external_id on users (participant, external_id) where deleted is null and external_id <> '' and not shared_external;
create index users_external_id_lookup on users (participant, external_id) where deleted is null;
create unique index users_healthix_username on users (healthix_username) where healthix_username <> '';
create index users_created on users (participant, created, id) where deleted is null;
create index users_email on users (email_key, created) where deleted is null and active and email_key <> '';
create index users_title_key on users (participant, title_key) where deleted is null and active and title_role = '';
create index users_valid_until on users (valid_until) where deleted is null and status = 'released' and valid_until is not null;
-- One index answers eq on any attribute (containment in the folded document).
-- The list of entries still to be merged is short, for every look-up reads all of it.
create index users_fold on users using gin (fold jsonb_path_ops) with (gin_pending_list_limit = 128);

create table user_history (
  user_id     text collate "C" not null,
  version     bigint not null,
  participant text collate "C" not null,
  valid_from  timestamptz not null,  -- rises strictly per user
  body        text not null,  -- its bytes are what the digest covers
  digest      text collate "C" not null,
  primary key (user_id, version)
);
create index user_history_as_of on user_history (participant, user_id, valid_from desc);

-- Who holds an address, system-wide: two cannot both find it free.
create table email_owner (
  email_key text collate "C" primary key,
  user_id   text collate "C" not null
);

create table groups (
  id               text collate "C" primary key,
  participant      text collate "C" not null references participant(id),
  version          bigint not null,
  display_name     text not null,
  display_name_key text collate "C" not null,
  external_id      text collate "C" not null,
  document         jsonb not null,
  fold             jsonb not null,
  created          timestamptz not null,
  modified         timestamptz not null,
  deleted          timestamptz
);
create index groups_display_name on groups (participant, display_name_key) where deleted is null;
create unique index groups_external_id on groups (participant, external_id) where deleted is null and external_id <> '';
create index groups_created on groups (participant, created, id) where deleted is null;
create index groups_fold on groups using gin (fold jsonb_path_ops) with (gin_pending_list_limit = 128);

create table group_history (
  group_id    text collate "C" not null,
  version     bigint not null,
  participant text collate "C" not null,
  valid_from  timestamptz not null,
  body        text not null,  -- its bytes are what the digest covers: group and delta of members
  digest      text collate "C" not null,
  primary key (group_id, version)
);

create table group_member (
  group_id  text collate "C" not null,
  member_id text collate "C" not null,
  type      text collate "C" not null,  -- User, Group
  primary key (group_id, member_id)
);
create index group_member_member on group_member (member_id, group_id);

create table token (
  id          text collate "C" primary key,  -- jti
  participant text collate "C" not null,
  scope       text collate "C" not null,
  subject     text not null,
  label       text not null,
  issued      timestamptz not null,
  issued_by   text not null,
  expires     timestamptz not null,
  revoked     timestamptz,
  last_used   timestamptz
);
create index token_participant on token (participant, issued);

create table evidence (
  id           text collate "C" primary key,
  user_id      text collate "C" not null,
  participant  text collate "C" not null,
  gate         text collate "C" not null,
  module       text collate "C" not null,
  completed_at timestamptz not null,
  valid_until  timestamptz,
  source       text not null,
  note         text not null,
  actor        text not null,
  recorded     timestamptz not null,
  revoked      timestamptz,
  revoked_why  text not null
);
create index evidence_user on evidence (user_id, recorded);

create table approval (
  id          text collate "C" primary key,
  user_id     text collate "C" not null,
  participant text collate "C" not null,
  approved    boolean not null,
  role        text collate "C" not null,
  title       text not null,
  at          timestamptz not null,
  valid_until timestamptz,
  actor       text not null,
  reason      text not null,
  ended       timestamptz
);
create index approval_user on approval (user_id, at);

create table hold (
  id          text collate "C" primary key,
  user_id     text collate "C" not null,
  participant text collate "C" not null,
  reason      text not null,
  since       timestamptz not null,
  actor       text not null,
  lifted      timestamptz
);
create index hold_user on hold (user_id, since);

create table activation (
  id          text collate "C" primary key,
  user_id     text collate "C" not null,
  participant text collate "C" not null,
  code_hash   bytea not null unique,
  issued      timestamptz not null,
  expires     timestamptz not null,
  voided      timestamptz,
  closed_seen timestamptz,
  redeemed    timestamptz,
  redeem_key  text collate "C" not null
);
create index activation_user on activation (user_id, issued desc);

create table policy_version (
  version  bigint primary key,
  digest   text collate "C" not null,
  document bytea not null,
  applied  timestamptz not null,
  actor    text not null
);

create table audit_entry (
  id          text collate "C" primary key,
  at          timestamptz not null,
  participant text collate "C" not null,
  user_id     text collate "C" not null,
  action      text collate "C" not null,
  canonical   bytea not null,
  hash        text collate "C" not null
);
create index audit_entry_user on audit_entry (user_id, at, id) where user_id <> '';

-- Personal values, each with its own salt: what an erasure empties.
create table audit_personal (
  entry_id text collate "C" not null,
  n        integer not null,
  name     text not null,
  salt     bytea not null,
  value    text not null,
  primary key (entry_id, n)
);

-- Entries that have no position in the log yet. A set: no order is relied upon.
create table audit_pending (
  entry_id text collate "C" primary key
);

-- +goose StatementBegin
create function append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end $$;
-- +goose StatementEnd

create trigger participant_history_append_only before update or delete on participant_history for each row execute function append_only();
create trigger participant_history_no_truncate before truncate on participant_history for each statement execute function append_only();
create trigger user_history_append_only before update or delete on user_history for each row execute function append_only();
create trigger user_history_no_truncate before truncate on user_history for each statement execute function append_only();
create trigger group_history_append_only before update or delete on group_history for each row execute function append_only();
create trigger group_history_no_truncate before truncate on group_history for each statement execute function append_only();
create trigger policy_version_append_only before update or delete on policy_version for each row execute function append_only();
create trigger policy_version_no_truncate before truncate on policy_version for each statement execute function append_only();
create trigger audit_entry_append_only before update or delete on audit_entry for each row execute function append_only();
create trigger audit_entry_no_truncate before truncate on audit_entry for each statement execute function append_only();
