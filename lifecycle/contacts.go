package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// tellContact sends a message to one of a participant's contacts, who is known by
// their place, for jobs and records carry no addresses. That it went is on
// record, and that the mail server refused it for good.
func (s *Service) tellContact(ctx context.Context, job storage.Job, p storage.Participant, place int, says any, fields ...audit.Field) error {
	subject, text, html, err := s.letters.render(job.Kind, says)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	err = s.mailer.Send(ctx, Mail{ID: messageID(job), To: p.Settings.Contacts[place], Subject: subject, Text: text, HTML: html})
	if errors.Is(err, storage.ErrGiveUp) {
		if wrong := s.recordContact(ctx, job, p, "mail.refused", "The mail server refused a message to a contact for good: "+job.Kind+".", fields); wrong != nil {
			return wrong // the job has another try
		}
	}
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return s.recordContact(ctx, job, p, "mail.sent", "A message was sent to a contact: "+job.Kind+".", fields)
}

// withheldFromContact records that a promised message was not sent, because
// things moved.
func (s *Service) withheldFromContact(ctx context.Context, job storage.Job, p storage.Participant, fields ...audit.Field) error {
	return s.recordContact(ctx, job, p, "mail.withheld", withheldSentence(job), fields)
}

func (s *Service) recordContact(ctx context.Context, job storage.Job, p storage.Participant, action, sentence string, fields []audit.Field) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		return s.entry(ctx, tx, System, audit.Draft{
			Participant: p.ID, User: p.ID, Action: action, Sentence: sentence,
			Fields: append([]audit.Field{public("message", messageID(job)), public("kind", job.Kind)}, fields...),
		})
	})
	if err != nil {
		return fmt.Errorf("record message: %w", err)
	}
	return nil
}
