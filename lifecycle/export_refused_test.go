package lifecycle_test

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// An export against a checkpoint of a longer log is refused, and the record does
// not say that anything was exported.
func TestARefusedExportIsNone(t *testing.T) {
	s, store := logNode(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db"), logKey(1))
	if err := s.EnsureLogKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.ExportLog(t.Context(), io.Discard, dana, "", []audit.Checkpoint{{Size: 1000}}, nil)
	var f *lifecycle.Fault
	if !errors.As(err, &f) || f.Kind != lifecycle.KindRefused {
		t.Errorf("answered %v", err)
	}
	if made, err := store.ListEvents(t.Context(), storage.EventQuery{Action: audit.Exported, Limit: 1}); err != nil || len(made) != 0 {
		t.Errorf("on record: %v, %v", made, err)
	}
	if err := s.ExportLog(t.Context(), io.Discard, dana, "", nil, nil); err != nil {
		t.Error(err)
	}
}
