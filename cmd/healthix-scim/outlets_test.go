package main

import (
	"strings"
	"testing"
)

func TestOutletsAreChosen(t *testing.T) {
	for _, c := range []struct{ database, checkpoint, want string }{
		{"sqlite://healthix.db", "", "file://checkpoints"},
		{"sqlite:///srv/data/healthix.db?x=1", "", "file:///srv/data/checkpoints"},
		{"sqlite://healthix.db", "off", ""},
		{"postgres://u:p@db/healthix", "", ""},
		{"postgres://u:p@db/healthix", "https://keep.example/log", "https://keep.example/log"},
	} {
		s := settings{DatabaseURL: c.database, CheckpointURL: c.checkpoint, CheckpointEvery: "1h"}
		if got := s.checkpointURL(); got != c.want {
			t.Errorf("%s, %q: %q, not %q", c.database, c.checkpoint, got, c.want)
		}
		if out, err := s.outlets(nil); err != nil || (out.offsite != nil) != (c.want != "") || out.stream != nil {
			t.Errorf("%s, %q: %+v, %v", c.database, c.checkpoint, out, err)
		}
	}
	for _, wrong := range []settings{
		{CheckpointEvery: "1d"}, {CheckpointEvery: "1ms"}, {CheckpointEvery: "1h", CheckpointURL: "ftp://u:s3cret@host.example"},
		{CheckpointEvery: "1h", StreamURL: "tcp://u:s3cret@host.example"}, {CheckpointEvery: "1h", StreamToken: "s3cret"},
	} {
		if err := wrong.checkOutlets(); err == nil || !strings.Contains(err.Error(), "HEALTHIX_") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestOutletsAreStarred(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "off": "off", "file:///srv/x": "file:///srv/x", "mailto:a@keep.example": "mailto:a@keep.example",
		"https://t0ken@in.example/a/b?sig=s3cret": "https://********@in.example/********", "syslog+tls://siem.example:6514": "syslog+tls://siem.example:6514",
		"https://u:p@ho st/": "********",
	} {
		if got := starredOutlet(text); got != want {
			t.Errorf("%q is shown as %q, not %q", text, got, want)
		}
	}
}
