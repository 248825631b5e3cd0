package storage

import "time"

// RequestRow is one request on the SCIM face and what was answered. Whoever
// makes it has masked it: it holds no personal value and no secret.
type RequestRow struct {
	Participant string    // "" when no valid token named one
	At          time.Time // when the request came
	ID          string    // of the row; unique within participant and instant
	RequestID   string
	Token       string // jti, "" when no token of ours was presented
	TokenLabel  string
	Address     string // the client's
	Method      string
	Route       string // template, never the path as sent
	Resource    string // id of the user or group it was about, or ""
	Query       string // masked
	Status      int
	Took        time.Duration // whole microseconds
	BytesIn     int64
	BytesOut    int64
	Leniencies  []string // dialect leniencies granted, by name
	Dropped     []string // attributes left out, by name
	UserAgent   string
	Request     string // masked JSON of the body, "" when there was none
	Answer      string // masked JSON of the answer, "" when there was none
}

// RequestQuery asks for rows of the request log.
type RequestQuery struct {
	Participant string    // exactly: "" is the rows of no participant
	From        time.Time // not before; zero means from the first
	To          time.Time // before; zero means to the last
	StatusFrom  int       // both 0 means any status
	StatusTo    int
	Resource    string // "" means any
	Before      *RequestPlace
	Limit       int
}

// RequestPlace is a keyset position, newest first.
type RequestPlace struct {
	At time.Time
	ID string
}
