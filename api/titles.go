package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// waitingTitle is a title that waits for a person at Healthix: no row of the
// policy answers it, or it disagrees with the job code of its people.
type waitingTitle struct {
	Key          string            `json:"key"` // normal form; "" when the title is missing
	Title        string            `json:"title"`
	Department   *string           `json:"department"` // the one that most of its people have
	People       int               `json:"people"`
	Participants int               `json:"participants"`
	Since        time.Time         `json:"since"`
	Disagrees    *string           `json:"disagrees"` // what the job code of some stands for
	Suggestions  []titleSuggestion `json:"suggestions"`
}

// titleSuggestion is a title of the table that may be meant. It grants nothing
// until a plan that says so is applied.
type titleSuggestion struct {
	Title  string  `json:"title"`
	Role   string  `json:"role"`
	Score  float64 `json:"score"`  // 0 to 1
	People int     `json:"people"` // who would be mapped, other waiting titles that then read alike included
}

// titlePlace is where a page of the queue ended.
type titlePlace struct {
	People    int    `json:"n"`
	Key       string `json:"k"`
	Disagrees string `json:"d"`
}

func placeOf(t storage.WaitingTitle) titlePlace {
	return titlePlace{People: t.People, Key: t.Key, Disagrees: t.Disagrees}
}

// behind orders the queue: most people first.
func (p titlePlace) behind(q titlePlace) int {
	return cmp.Or(cmp.Compare(q.People, p.People), cmp.Compare(p.Key, q.Key), cmp.Compare(p.Disagrees, q.Disagrees))
}

func (s *server) listUnmapped(ctx context.Context, c *call, _ none) (page[waitingTitle], error) {
	const most = 50 // suggestions are dear
	var empty page[waitingTitle]
	participant, err := c.within(c.query.Get("participant"))
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"titles", participant})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	begin, err := after[titlePlace](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	waiting, err := s.read.ListWaitingTitles(ctx, participant)
	if err != nil {
		return empty, err
	}
	slices.SortFunc(waiting, func(a, b storage.WaitingTitle) int { return placeOf(a).behind(placeOf(b)) })
	rest := waiting
	if begin != nil {
		rest = slices.DeleteFunc(slices.Clone(waiting), func(t storage.WaitingTitle) bool { return placeOf(t).behind(*begin) <= 0 })
	}
	var answer page[waitingTitle]
	if len(rest) > most {
		rest = rest[:most]
		next, err := s.cursor(bound, placeOf(rest[most-1]))
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items, err = s.suggest(ctx, participant, rest, waiting)
	return answer, err
}

type titleDraft struct {
	Title       string `json:"title"`                 // of the table
	Participant string `json:"participant,omitempty"` // for its overlay; for everybody when absent
}

// draftTitle plans that a waiting title is read as one of the table.
func (s *server) draftTitle(ctx context.Context, c *call, in titleDraft) (planAnswer, error) {
	plan, err := s.Service.DraftSynonym(ctx, c.who.Actor, in.Participant, c.r.PathValue("key"), in.Title)
	return s.planned(ctx, c, plan, err)
}

// suggest says what may be meant by the titles that are shown, and how many of
// all who wait an answer would map.
func (s *server) suggest(ctx context.Context, participant string, shown, all []storage.WaitingTitle) ([]waitingTitle, error) {
	inForce, err := s.Service.PolicyAt(ctx, participant)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, t := range shown {
		if unmapped(t) {
			keys = append(keys, t.Key)
		}
	}
	peers, err := s.read.ListTitlePeers(ctx, participant, keys)
	if err != nil {
		return nil, err
	}
	const best = 3
	queue := newQueueWords(all)
	show := func(t storage.WaitingTitle) waitingTitle {
		v := waitingTitle{
			Key: t.Key, Title: t.Title, Department: optional(t.Department), People: t.People, Participants: t.Participants, Since: t.Since,
			Disagrees: optional(t.Disagrees), Suggestions: []titleSuggestion{},
		}
		if !unmapped(t) {
			return v
		}
		for _, may := range inForce.Suggest(t.Title, t.Department, peers[t.Key], best) {
			v.Suggestions = append(v.Suggestions, titleSuggestion{
				Title: may.Title, Role: may.Role, Score: may.Score, People: queue.mapped(inForce.WithAlias(t.Title, may.Title), t, may.Title),
			})
		}
		return v
	}
	items := make([]waitingTitle, 0, len(shown))
	for _, t := range shown {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		items = append(items, show(t))
	}
	return items, nil
}

// unmapped says that a title waits because no row answers it; others disagree
// with a job code, or are missing, and no answer of ours helps.
func unmapped(t storage.WaitingTitle) bool { return t.Key != "" && t.Disagrees == "" }

// queueWords finds waiting titles by word.
type queueWords struct {
	titles  []storage.WaitingTitle
	holders map[string][]int
}

func newQueueWords(all []storage.WaitingTitle) queueWords {
	q := queueWords{titles: all, holders: map[string][]int{}}
	for i, t := range all {
		if !unmapped(t) {
			continue
		}
		for _, w := range slices.Compact(slices.Sorted(slices.Values(wordsOf(t.Key)))) {
			q.holders[w] = append(q.holders[w], i)
		}
	}
	return q
}

func wordsOf(key string) []string {
	return strings.FieldsFunc(key, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// mapped is how many people wait whose titles are read as one of the table once
// t is. Only titles with t's rarest word are asked about, a hundred at most, for a
// page asks for many answers and anybody may fill the queue: the number is a
// lower bound, and the plan is exact. nil reads nothing: the table would refuse
// the answer.
func (q queueWords) mapped(with *policy.Policy, t storage.WaitingTitle, title string) int {
	if with == nil {
		return 0
	}
	var rarest []int
	for _, w := range wordsOf(t.Key) {
		if holders := q.holders[w]; rarest == nil || len(holders) < len(rarest) {
			rarest = holders
		}
	}
	const most = 100
	n := 0
	for _, i := range rarest[:min(most, len(rarest))] {
		if with.Reads(q.titles[i].Title) == title {
			n += q.titles[i].People
		}
	}
	return n
}
