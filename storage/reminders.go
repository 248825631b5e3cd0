package storage

import "time"

// ReminderQuery asks whose training ends within the largest of the distances,
// and who has not been promised the reminder that is due.
type ReminderQuery struct {
	Now   time.Time
	Days  []int    // before the end, the last reminder first
	After Reminder // the zero value begins
	Limit int
}

// Reminder is one that was promised: a number of days before training ends.
type Reminder struct {
	User    string
	Expires time.Time // when the training ends
	Days    int
}
