package sqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"testing"
)

// released are the first 8 bytes of SHA-256 of migrations that databases have been
// through: one that is changed afterwards never reaches them. A new one is added
// here when it leaves the house; what it got wrong, the next one mends.
var released = map[string]string{
	"postgres/0001_house.sql":              "ab41ee5b3ddc373f",
	"postgres/0002_requests.sql":           "850fde1c4fc4244b",
	"postgres/0003_nodes.sql":              "6220a8debf48eb7b",
	"postgres/0004_policy.sql":             "f842f2ea76220ce2",
	"postgres/0005_breaker.sql":            "9ef0410c174c704b",
	"postgres/0006_clients.sql":            "a679c663bcd3fc56",
	"postgres/0007_learner.sql":            "3a77d4875f191d97",
	"postgres/0008_access_change.sql":      "905bdeb78d106069",
	"postgres/0009_reminder.sql":           "013eeca955d17ea2",
	"postgres/0010_record.sql":             "27ae4c18d72a2c83",
	"postgres/0011_review.sql":             "1e7994a6b935ff02",
	"postgres/0012_stream.sql":             "ad38e352a501e590",
	"postgres/0013_recovery.sql":           "83deae9e230b4b35",
	"postgres/0014_learner_looked_for.sql": "6f8309f76f815ea4",
	"sqlite/0001_house.sql":                "da4cf50fc708a8ab",
	"sqlite/0002_requests.sql":             "00b808dac915e790",
	"sqlite/0003_nodes.sql":                "c62d8e7ffd73d357",
	"sqlite/0004_policy.sql":               "908446f5cfe1fe46",
	"sqlite/0005_breaker.sql":              "af544193b7ed8f99",
	"sqlite/0006_clients.sql":              "5b37750ba08476ff",
	"sqlite/0007_learner.sql":              "1eff7c3e56d04721",
	"sqlite/0008_access_change.sql":        "9713ef1fa346dae2",
	"sqlite/0009_reminder.sql":             "22ca5ce6841b8f7f",
	"sqlite/0010_record.sql":               "7cac0e37b252fd96",
	"sqlite/0011_review.sql":               "886bdb8d8607203a",
	"sqlite/0012_stream.sql":               "7298e44b3d61d5d4",
	"sqlite/0013_recovery.sql":             "837e345115c88ecb",
	"sqlite/0014_learner_looked_for.sql":   "6f8309f76f815ea4",
}

func TestReleasedMigrationsStay(t *testing.T) {
	for name, want := range released {
		text, err := fs.ReadFile(migrations, "migrations/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:8]) != want {
			t.Errorf("%s was changed: databases that have been through it never see that; write a new migration", name)
		}
	}
}
