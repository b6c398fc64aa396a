package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// envelope names what every event has.
var envelope = []string{
	"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_partitionkey",
}

// Event is one line of the output.
type Event struct {
	Received    string          `json:"received"`
	Type        string          `json:"type"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Time        string          `json:"time"`
	Subject     string          `json:"subject"`
	Sequence    *uint64         `json:"sequence"` // null for commands and answers
	Correlation *string         `json:"correlation"`
	Data        json.RawMessage `json:"data"`
}

// Summary is the last line: numbers, and everything that did not hold.
type Summary struct {
	Summary    bool     `json:"summary"`
	Events     int      `json:"events"`
	Aggregates int      `json:"aggregates"`
	Duplicates int      `json:"duplicates"`
	Violations []string `json:"violations"`
}

type place struct{ topic, subject string }

// Ledger holds what has been read, and what did not hold.
type Ledger struct {
	events     int
	duplicates int
	violations []string
	facts      map[string][sha256.Size]byte
	highest    map[place]uint64
	sequences  map[string]map[uint64]bool
	subjects   []string // those of the sequences, in the order in which they came
}

// NewLedger returns an empty one.
func NewLedger() *Ledger {
	return &Ledger{
		violations: []string{}, // an empty list in JSON, not null
		facts:      map[string][sha256.Size]byte{},
		highest:    map[place]uint64{},
		sequences:  map[string]map[uint64]bool{},
	}
}

// Read returns the event, or nil for a copy of one that was read before, and for what is no event.
func (l *Ledger) Read(record *kgo.Record) *Event {
	headers, sequence, ok := read(record)
	if !ok {
		l.violate("%s/%d at %d: no event that can be read", record.Topic, record.Partition, record.Offset)
		return nil
	}
	id, subject := headers["ce_id"], headers["ce_subject"]
	if string(record.Key) != subject || headers["ce_partitionkey"] != subject {
		l.violate("%s: the key is not the aggregate's ID", id)
	}
	if headers["ce_type"] != record.Topic || headers["ce_specversion"] != "1.0" {
		l.violate("%s: the type is not the topic's name", id)
	}
	if l.isCopy(id, record.Value) {
		return nil
	}
	if sequence != nil {
		l.follow(record.Topic, subject, *sequence, id)
	}
	l.events++
	event := &Event{
		Received: time.Now().UTC().Format(time.RFC3339Nano),
		Type:     headers["ce_type"],
		ID:       id,
		Source:   headers["ce_source"],
		Time:     headers["ce_time"],
		Subject:  subject,
		Sequence: sequence,
		Data:     record.Value,
	}
	if correlation, there := headers["ce_correlationid"]; there {
		event.Correlation = &correlation
	}
	return event
}

// Summary returns the last line.
func (l *Ledger) Summary() Summary {
	violations := slices.Clone(l.violations)
	for _, subject := range l.subjects {
		if missing := gaps(l.sequences[subject]); len(missing) > 0 {
			violations = append(violations,
				fmt.Sprintf("%s: of its sequences %s are missing", subject, strings.Join(missing, ", ")))
		}
	}
	return Summary{
		Summary:    true,
		Events:     l.events,
		Aggregates: len(l.sequences),
		Duplicates: l.duplicates,
		Violations: violations,
	}
}

func (l *Ledger) isCopy(id string, value []byte) bool {
	fact := sha256.Sum256(value)
	known, there := l.facts[id]
	if !there {
		l.facts[id] = fact
		return false
	}
	if known != fact {
		l.violate("%s: two different facts have this ID", id)
	}
	l.duplicates++
	return true
}

func (l *Ledger) follow(topic, subject string, sequence uint64, id string) {
	at := place{topic, subject}
	if sequence <= l.highest[at] {
		l.violate("%s: sequence %d of %s comes after a higher one", id, sequence, subject)
	}
	seen, there := l.sequences[subject]
	if !there {
		seen = map[uint64]bool{}
		l.sequences[subject] = seen
		l.subjects = append(l.subjects, subject)
	}
	if seen[sequence] {
		l.violate("%s: sequence %d of %s stands twice", id, sequence, subject)
	}
	l.highest[at] = sequence
	seen[sequence] = true
}

func (l *Ledger) violate(format string, arguments ...any) {
	l.violations = append(l.violations, fmt.Sprintf(format, arguments...))
}

// read returns the record's headers and its sequence, which commands and answers have none of; not ok when the envelope is
// not whole, or the value is no JSON.
func read(record *kgo.Record) (headers map[string]string, sequence *uint64, ok bool) {
	headers = map[string]string{}
	for _, header := range record.Headers {
		if header.Value == nil || !utf8.Valid(header.Value) {
			return nil, nil, false
		}
		headers[header.Key] = string(header.Value)
	}
	for _, name := range envelope {
		if headers[name] == "" {
			return nil, nil, false
		}
	}
	if said, there := headers["ce_sequence"]; there {
		number, err := strconv.ParseUint(said, 10, 63)
		if err != nil || number == 0 {
			return nil, nil, false
		}
		sequence = &number
	}
	return headers, sequence, utf8.Valid(record.Value) && json.Valid(record.Value)
}

// gaps says what is missing of 1, 2, 3, ... up to the highest.
func gaps(seen map[uint64]bool) []string {
	numbers := make([]uint64, 0, len(seen))
	for number := range seen {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	var missing []string
	low := uint64(0)
	for _, high := range numbers {
		switch high - low {
		case 0, 1:
		case 2:
			missing = append(missing, fmt.Sprint(low+1))
		default:
			missing = append(missing, fmt.Sprintf("%d to %d", low+1, high-1))
		}
		low = high
	}
	return missing
}
