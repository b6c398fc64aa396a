package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	opened    = "covey.parcel.opened.v1"
	delivered = "covey.parcel.delivered.v1"
)

// record is a right one; change makes another one of it.
func record(topic, id, subject, sequence string, change ...func(*kgo.Record)) *kgo.Record {
	headers := map[string]string{
		"ce_specversion": "1.0", "ce_id": id, "ce_source": "/post", "ce_type": topic, "ce_time": "2031-03-04T05:06:07Z",
		"ce_subject": subject, "ce_partitionkey": subject, "ce_correlationid": "conversation",
	}
	if sequence != "" {
		headers["ce_sequence"] = sequence
	}
	made := &kgo.Record{Topic: topic, Key: []byte(subject), Value: []byte(`{"weight":3}`), Offset: 7}
	for name, value := range headers {
		made.Headers = append(made.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	for _, each := range change {
		each(made)
	}
	return made
}

func without(header string) func(*kgo.Record) {
	return func(made *kgo.Record) {
		for at, each := range made.Headers {
			if each.Key == header {
				made.Headers = append(made.Headers[:at], made.Headers[at+1:]...)
				return
			}
		}
	}
}

func with(header, value string) func(*kgo.Record) {
	return func(made *kgo.Record) {
		without(header)(made)
		made.Headers = append(made.Headers, kgo.RecordHeader{Key: header, Value: []byte(value)})
	}
}

func saying(value string) func(*kgo.Record) {
	return func(made *kgo.Record) { made.Value = []byte(value) }
}

func TestAnEventIsOneObjectWithItsDataAsTheyCame(t *testing.T) {
	event := NewLedger().Read(record(opened, "e-1", "p-1", "00000000000000000001", saying(`{"weight":3.10,"to":"Añ<b>"}`)))
	event.Received = "now"
	line, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}

	var said, expected any
	wanted := `{"received":"now","type":"covey.parcel.opened.v1","id":"e-1","source":"/post","time":"2031-03-04T05:06:07Z",
		"subject":"p-1","sequence":1,"correlation":"conversation","data":{"weight":3.10,"to":"Añ<b>"}}`
	if err := json.Unmarshal(line, &said); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(wanted), &expected); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(said, expected) {
		t.Errorf("got %s", line)
	}
}

func TestCommandsHaveNoSequenceAndNoPlaceInTheOrder(t *testing.T) {
	ledger := NewLedger()
	command := ledger.Read(record(opened, "e-1", "p-1", ""))

	if command == nil || command.Sequence != nil {
		t.Errorf("got %+v", command)
	}
	if found := ledger.Summary(); found.Events != 1 || found.Aggregates != 0 || len(found.Violations) != 0 {
		t.Errorf("got %+v", found)
	}
}

func TestWhatDoesNotHoldIsSaid(t *testing.T) {
	huge := "9223372036854775808"
	for name, each := range map[string]struct {
		records []*kgo.Record
		said    []string
	}{
		"all is well over two topics, whichever comes first": {
			[]*kgo.Record{record(delivered, "e-2", "p-1", "2"), record(opened, "e-1", "p-1", "1")},
			[]string{},
		},
		"the same record twice is no violation": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "1"), record(opened, "e-1", "p-1", "1")},
			[]string{},
		},
		"another fact by the same ID": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "1"), record(opened, "e-1", "p-1", "1", saying("4"))},
			[]string{"e-1: two different facts have this ID"},
		},
		"a key that is not the subject": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "1", func(made *kgo.Record) { made.Key = nil })},
			[]string{"e-1: the key is not the aggregate's ID"},
		},
		"a type that is not the topic": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "1", with("ce_type", delivered))},
			[]string{"e-1: the type is not the topic's name"},
		},
		"a sequence that falls": {
			[]*kgo.Record{record(opened, "e-2", "p-1", "2"), record(opened, "e-1", "p-1", "1")},
			[]string{"e-1: sequence 1 of p-1 comes after a higher one"},
		},
		"a sequence that stands twice": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "1"), record(delivered, "e-2", "p-1", "1")},
			[]string{"e-2: sequence 1 of p-1 stands twice"},
		},
		"gaps": {
			[]*kgo.Record{record(opened, "e-1", "p-1", "2"), record(opened, "e-2", "p-1", "6")},
			[]string{"p-1: of its sequences 1, 3 to 5 are missing"},
		},
		"no JSON":               {[]*kgo.Record{record(opened, "e-1", "p-1", "1", saying("{"))}, unreadable},
		"no value":              {[]*kgo.Record{record(opened, "e-1", "p-1", "1", func(r *kgo.Record) { r.Value = nil })}, unreadable},
		"no subject":            {[]*kgo.Record{record(opened, "e-1", "p-1", "1", without("ce_subject"))}, unreadable},
		"an ID that is no text": {[]*kgo.Record{record(opened, "e-1", "p-1", "1", with("ce_id", "\xff"))}, unreadable},
		"a sequence in words":   {[]*kgo.Record{record(opened, "e-1", "p-1", "first")}, unreadable},
		"a sequence of nothing": {[]*kgo.Record{record(opened, "e-1", "p-1", "0")}, unreadable},
		"a sequence too high":   {[]*kgo.Record{record(opened, "e-1", "p-1", huge)}, unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := NewLedger()
			for _, one := range each.records {
				ledger.Read(one)
			}
			if found := ledger.Summary().Violations; !reflect.DeepEqual(found, each.said) {
				t.Errorf("got %q", found)
			}
		})
	}
}

var unreadable = []string{fmt.Sprintf("%s/0 at 7: no event that can be read", opened)}

func TestCopiesAreCountedAndNotWrittenAgain(t *testing.T) {
	ledger := NewLedger()
	ledger.Read(record(opened, "e-1", "p-1", "1"))

	if again := ledger.Read(record(opened, "e-1", "p-1", "1")); again != nil {
		t.Errorf("got %+v", again)
	}
	if found := ledger.Summary(); found.Events != 1 || found.Duplicates != 1 || found.Aggregates != 1 {
		t.Errorf("got %+v", found)
	}
}
