package storage

import "time"

// The states of a learner.
const (
	LearnerWaiting  = "waiting"  // to be enrolled, or written anew
	LearnerEnrolled = "enrolled" // the LMS has an active record
	LearnerRefused  = "refused"  // it will not have it: Why says what a person must do
	LearnerOff      = "off"      // the record is inactive: the user left
)

// Learner is a user as the LMS knows them, with what it is to be told. It holds
// ids and words of the policy, nothing of the person.
type Learner struct {
	User        string
	Participant string
	LMSID       string // the record's id there, "" while there is none
	State       string
	Why         string
	Modules     []string             // courses and paths that are assigned, by the LMS's ids
	Refresh     []string             // modules of the policy that are to be taken again
	Resets      map[string]time.Time // by course: the completion after which it was reset
	Invite      string               // key of the invitation that waits for the enrolment
	Policy      int64                // version that it was brought in line with
	Due         *time.Time           // when the LMS is to be told
	Asked       *time.Time           // when it is to be asked what was completed
	Tries       int                  // that went wrong in a row
	Changed     time.Time
	Row         int64 // version of this row, from 1
}

// LearnerQuery asks for a page of learners by user id.
type LearnerQuery struct {
	Participant string // "" for all
	State       string // "" for all
	Invited     bool   // only those with an invitation that waits
	After       string // user id
	Limit       int
}
