package policy

// Change is what a new policy does to one person, in the policy's own words.
type Change struct {
	From       string   `json:"from,omitempty"`  // role that the title leads to now, "" none
	To         string   `json:"to,omitempty"`    // and then
	Gains      []string `json:"gains,omitempty"` // permissions of To that From has not
	Loses      []string `json:"loses,omitempty"` // and the other way round
	Ends       []string `json:"ends,omitempty"`  // permissions in force that end at once
	Gates      []Gate   `json:"gates,omitempty"` // gates that are asked for, or no longer, or differ in modules
	StatusFrom Status   `json:"statusFrom"`
	StatusTo   Status   `json:"statusTo"`
}
