package lifecycle

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/storage"
)

// CreateUser takes a person in. An unknown title, a missing mobile or an
// address held elsewhere is no fault: the person is kept and access stays
// closed (product rule 1). An inactive person who comes back keeps the old id
// (rule 9), unless the participant asked for strictness.
func (s *Service) CreateUser(ctx context.Context, a Actor, draft UserDraft) (storage.User, error) {
	var kept storage.User
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		participant, err := tx.GetParticipant(ctx, a.Participant)
		if err != nil {
			return fmt.Errorf("participant %s: %w", a.Participant, err)
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return fmt.Errorf("user id: %w", err)
		}
		u := storage.User{
			ID: id.String(), Participant: a.Participant, ClinicalAlerts: "none",
		}
		if err := fill(&u, draft); err != nil {
			return err
		}
		back, err := comesBack(ctx, tx, participant, u)
		if err != nil {
			return err
		}
		c := change{fresh: true, document: true, action: "user.created", sentence: "The identity provider created the user."}
		var old *storage.User
		on := &dossier{}
		if back != "" {
			locked, err := tx.LockUser(ctx, a.Participant, back)
			if err != nil {
				return fmt.Errorf("lock user %s: %w", back, err)
			}
			if locked.Active || locked.Deleted != nil || !samePerson(locked, u, participant.Settings.SharedExternalID) { // since it was looked up
				return fmt.Errorf("user %s: %w", back, storage.ErrStale)
			}
			if on, err = readDossier(ctx, tx, back); err != nil {
				return err
			}
			old = &locked
			u = locked
			if err := fill(&u, draft); err != nil {
				return err
			}
			c.action, c.sentence = "user.rehired", "The identity provider created a person again who was inactive here; the old id is kept."
		}
		if old == nil {
			u.Created = tx.Now()
		}
		kept, err = s.settle(ctx, tx, a, participant, on, old, u, c)
		return err
	})
	if err != nil {
		return storage.User{}, fmt.Errorf("create user: %w", err)
	}
	return kept, nil
}

// comesBack finds the inactive person whom a new user is (product rule 9), or
// refuses what clashes. "" means nobody: a new person.
func comesBack(ctx context.Context, tx storage.Tx, participant storage.Participant, u storage.User) (string, error) {
	byName, nameTaken, err := tx.FindUserName(ctx, u.Participant, u.UserNameKey)
	if err != nil {
		return "", fmt.Errorf("look for userName: %w", err)
	}
	var byExternal storage.User
	externalTaken := false
	shared := participant.Settings.SharedExternalID // there an externalId does not name one person
	if u.ExternalID != "" && !shared {
		if byExternal, externalTaken, err = tx.FindExternalID(ctx, u.Participant, u.ExternalID); err != nil {
			return "", fmt.Errorf("look for externalId: %w", err)
		}
	}
	if !nameTaken && !externalTaken {
		return "", nil
	}
	candidate := byName
	if !nameTaken {
		candidate = byExternal
	}
	one := !nameTaken || !externalTaken || byName.ID == byExternal.ID
	if one && !candidate.Active && u.Active && !participant.Settings.Strict() && samePerson(candidate, u, shared) {
		return candidate.ID, nil
	}
	if nameTaken {
		return "", takenUserName()
	}
	return "", takenExternalID()
}

// samePerson says whether a new user is one who was here (product rule 9). An
// externalId that several may share says nothing.
func samePerson(was, is storage.User, shared bool) bool {
	if !shared && was.ExternalID != "" && was.ExternalID == is.ExternalID {
		return true
	}
	if was.UserNameKey != is.UserNameKey || (!shared && was.ExternalID != "" && is.ExternalID != "") {
		return false
	}
	if was.EmailKey != "" && was.EmailKey == is.EmailKey {
		return true
	}
	return was.GivenName != "" && was.FamilyName != "" &&
		strings.EqualFold(was.GivenName, is.GivenName) && strings.EqualFold(was.FamilyName, is.FamilyName)
}

func takenUserName() error {
	return Faultf(KindTaken, "userName", "userName is already in use here (letter case does not count); look the user up by filter and change it instead, or send another userName")
}

func takenExternalID() error {
	return Faultf(KindTaken, "externalId", "externalId is already in use by another user here; look that user up by filter and change it, or send another externalId")
}

func takenAddress() error {
	return Faultf(KindTaken, "emails", "the e-mail address is already in use by another active user here; one address belongs to one person: send another one, or deactivate the other user first")
}

// ChangeUser runs an edit over the user and keeps what follows. An edit that
// changes nothing keeps version and lastModified.
func (s *Service) ChangeUser(ctx context.Context, a Actor, id string, edit UserEdit) (storage.User, error) {
	var kept storage.User
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		old, err := lockLive(ctx, tx, a.Participant, id)
		if err != nil {
			return err
		}
		draft, changed, err := edit(old)
		if err != nil {
			return err
		}
		if !changed {
			kept = old
			return nil
		}
		u := old
		if err := fill(&u, draft); err != nil {
			return err
		}
		participant, err := participantOf(ctx, tx, old)
		if err != nil {
			return err
		}
		if err := moved(ctx, tx, participant, old, u); err != nil {
			return err
		}
		on, err := readDossier(ctx, tx, id)
		if err != nil {
			return err
		}
		kept, err = s.settle(ctx, tx, a, participant, on, &old, u, changeOf(old, u))
		return err
	})
	if err != nil {
		return storage.User{}, fmt.Errorf("change user %s: %w", id, err)
	}
	return kept, nil
}

// moved refuses unique values that the edit took from somebody else.
func moved(ctx context.Context, tx storage.Tx, participant storage.Participant, old, u storage.User) error {
	if u.UserNameKey != old.UserNameKey {
		if _, taken, err := tx.FindUserName(ctx, u.Participant, u.UserNameKey); err != nil {
			return fmt.Errorf("look for userName: %w", err)
		} else if taken {
			return takenUserName()
		}
	}
	if u.ExternalID != "" && u.ExternalID != old.ExternalID {
		if _, taken, err := tx.FindExternalID(ctx, u.Participant, u.ExternalID); err != nil {
			return fmt.Errorf("look for externalId: %w", err)
		} else if taken && !participant.Settings.SharedExternalID {
			return takenExternalID()
		}
	}
	return nil
}

func changeOf(old, u storage.User) change {
	switch {
	case old.Active && !u.Active:
		return change{document: true, action: "user.deactivated", sentence: "The user was deactivated; access has ended."}
	case !old.Active && u.Active:
		return change{document: true, fresh: true, action: "user.reactivated", sentence: "The user was activated again; every gate is checked anew."}
	default:
		return change{document: true, action: "user.changed", sentence: "The user was changed."}
	}
}

// DeleteUser ends access and takes the user out of every answer. The row stays
// for the record; its id and username are never given to anybody else. check
// sees the user first and may refuse (If-Match).
func (s *Service) DeleteUser(ctx context.Context, a Actor, id string, check func(storage.User) error) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		old, err := lockLive(ctx, tx, a.Participant, id)
		if err != nil {
			return err
		}
		if check != nil {
			if err := check(old); err != nil {
				return err
			}
		}
		participant, err := participantOf(ctx, tx, old)
		if err != nil {
			return err
		}
		on, err := readDossier(ctx, tx, id)
		if err != nil {
			return err
		}
		u := old
		now := tx.Now()
		u.Deleted = &now
		if _, err := s.settle(ctx, tx, a, participant, on, &old, u, change{document: true, action: "user.deleted", sentence: "The identity provider deleted the user; access has ended."}); err != nil {
			return err
		}
		return tx.RemoveMember(ctx, a.Participant, id)
	})
	if err != nil {
		return fmt.Errorf("delete user %s: %w", id, err)
	}
	return nil
}

// lockLive locks a user that is not deleted.
func lockLive(ctx context.Context, tx storage.Tx, participant, id string) (storage.User, error) {
	u, err := tx.LockUser(ctx, participant, id)
	if err != nil {
		return storage.User{}, fmt.Errorf("user %s: %w", id, err)
	}
	if u.Deleted != nil {
		return storage.User{}, fmt.Errorf("user %s is deleted: %w", id, storage.ErrNotFound)
	}
	return u, nil
}

func participantOf(ctx context.Context, tx storage.Tx, u storage.User) (storage.Participant, error) {
	p, err := tx.GetParticipant(ctx, u.Participant)
	if err != nil {
		return storage.Participant{}, fmt.Errorf("participant %s: %w", u.Participant, err)
	}
	return p, nil
}

// deed is one locked, undeleted user in the middle of a deed.
type deed struct {
	tx storage.Tx
	at storage.Participant
	on *dossier
	u  storage.User // what the user is going to be
}

// onUser runs a deed on one user. f says what it did to them; settle decides
// and keeps what follows.
func (s *Service) onUser(ctx context.Context, a Actor, participant, id string, f func(ctx context.Context, d *deed) (change, error)) (storage.User, error) {
	var kept storage.User
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		old, err := lockLive(ctx, tx, participant, id)
		if err != nil {
			return err
		}
		d := &deed{tx: tx, u: old}
		if d.at, err = participantOf(ctx, tx, old); err != nil {
			return err
		}
		if d.on, err = readDossier(ctx, tx, id); err != nil {
			return err
		}
		c, err := f(ctx, d)
		if err != nil {
			return err
		}
		kept, err = s.settle(ctx, tx, a, d.at, d.on, &old, d.u, c)
		return err
	})
	return kept, err
}
