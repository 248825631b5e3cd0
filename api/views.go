package api

import (
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// staffSight is how staff see things: who may read the database is staff.
var staffSight = &call{who: auth.Principal{Scope: auth.ScopeOperator}}

// ShowUser shows a user as an operator's API does, as things stand at an instant.
func ShowUser(u storage.User, now time.Time) UserView { return staffSight.user(u, now) }

// ShowParticipant shows a participant as an operator's API does.
func ShowParticipant(p storage.Participant) ParticipantView { return staffSight.participant(p) }

// ShowRestored shows what a restore came to.
func ShowRestored(r lifecycle.Restored) any { return showRestored(r.Restored, r.Listed) }
