-- +goose Up
-- What is looked for again and again is read off an index. (learner.resets holds
-- by course the completion after which it was reset.)
create index learner_policy on learner (policy, user_id) where state <> 'off';
create index learner_invite on learner (user_id) where invite <> '';
