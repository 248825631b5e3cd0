package sqlstore

import "database/sql/driver"

// Value hands the slice to pgx, which knows text[]; database/sql alone would
// refuse it.
func (a textArray) Value() (driver.Value, error) { return []string(a), nil }

func boundArray(ids []string) any {
	if ids == nil {
		ids = []string{}
	}
	return textArray(ids)
}
