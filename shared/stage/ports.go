// Package stage holds the ports of the pipeline (Kafka and the tables as
// interfaces), the records and batches that pass through them, dead letters, and
// the small stages: identify, enrich, count and tick, one file each. The stage
// detect has a package of its own, shared/detect, and ingest has shared/ingest.
//
// A stage reads a batch, decides, produces its records and writes its state on
// condition that no other writer came first. Start with ports.go.
package stage

import (
	"context"
	"errors"
	"strconv"
	"time"

	"footfall/events"
	"footfall/shared/presence"
)

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka record as it came or as it goes. A nil Value is a null,
// which an empty one is not. Offset means nothing on the way out; Partition
// only where AnyPartition is not given.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // of the record; zero on the way out: the producer's clock
	Key       []byte
	Value     []byte
	Headers   []Header
}

// AnyPartition leaves the partition of a produced record to its key.
const AnyPartition int32 = -1

// Batch is records of one partition of one topic, in the order of their
// offsets, which may have holes. Its slices are the handler's to keep until it
// returns, no longer.
type Batch struct {
	Topic     string
	Partition int32
	Records   []Record
}

// Handler is one stage. Handle processes a batch and returns nil, or an error
// that says from which offset on the batch is to be given again: everything
// before that offset is done for good. Errors other than *Failure mean the
// whole batch. Handle must be safe for concurrent calls on different
// partitions.
type Handler interface {
	Handle(ctx context.Context, b Batch) error
}

// Failure is the error of a batch of which a part is done.
type Failure struct {
	Offset int64 // the first offset that is not done
	Err    error
}

// Error gives the offset and the cause.
func (f *Failure) Error() string {
	return "from offset " + strconv.FormatInt(f.Offset, 10) + ": " + f.Err.Error()
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// ErrConflict is the answer to a conditional write whose condition did not
// hold: somebody else, or an earlier try of ours, wrote first.
var ErrConflict = errors.New("somebody else wrote first")

// Producer sends records. Produce MUST return nil only once every record is
// acknowledged by all in-sync replicas, MUST keep the order of the records of
// one partition, and MUST return before ctx is done. After an error some of
// the records may have been written.
type Producer interface {
	Produce(ctx context.Context, records []Record) error
}

// TopicInfo is what tells one life of a topic from another.
type TopicInfo struct {
	ID         string // the broker's topic id, which changes when a topic is recreated
	Partitions int32
}

// TopicInfos looks topics up. Info MUST ask the broker when its knowledge is
// older than maxAge; 0 always asks.
type TopicInfos interface {
	Info(ctx context.Context, topic string, maxAge time.Duration) (TopicInfo, error)
}

// RulesSince are rules of a business, and the moment from which on they hold:
// they decide on what comes after the tick that reaches Since.
type RulesSince struct {
	Since presence.Instant
	Rules presence.Rules
}

// Businesses keeps what the businesses decide by, now and before.
type Businesses interface {
	// Rules gives the rules of each business, in the order of ids: those that
	// ever held, by ascending Since, none for a business that never had any of
	// its own. The slices are for reading. They MUST hold all that was stored
	// half a minute ago. Whoever stores rules lets Since lie further ahead than
	// that, so no partition's clock gets there before everybody knows of them, and
	// whoever decides on a batch, now or again, decides by the same rules.
	Rules(ctx context.Context, ids []events.BusinessID) ([][]RulesSince, error)
}

// LogItem is one item of a partition log. Data is opaque to the store and
// holds up to MaxLogItemBytes.
type LogItem struct {
	Seq  int64
	Data []byte
}

// MaxLogItemBytes keeps an item, with its keys, under DynamoDB's 400 KB.
const MaxLogItemBytes = 380 << 10

// VisitLog keeps chains of log items, each chain numbered from 0 without
// holes. Reads may be eventually consistent unless consistent is asked for,
// but an item once returned stays as it is.
type VisitLog interface {
	// Last gives the item with the highest Seq of a chain; ok is false for a
	// chain without items.
	Last(ctx context.Context, chain string, consistent bool) (item LogItem, ok bool, err error)
	// Read gives the items with from <= Seq <= to in ascending order, those that
	// exist.
	Read(ctx context.Context, chain string, from, to int64, consistent bool) ([]LogItem, error)
	// Append MUST store the item only if its Seq is free in the chain, and MUST
	// answer ErrConflict otherwise. Items may be dropped some days after
	// expires.
	Append(ctx context.Context, chain string, item LogItem, expires time.Time) error
}

// IdentityKey names the identities of one device.
type IdentityKey struct {
	Business events.BusinessID
	Device   events.DeviceID
}

// ContactRecord is what identify keeps of a contact.
type ContactRecord struct {
	Devices   []events.DeviceID // that it ever had
	DeletedAt time.Time         // its latest deletion, zero for none
	// MergedInto is the contact that it was last merged into, "" for none, and
	// MergedAt when that was.
	MergedInto events.ContactID
	MergedAt   time.Time
	// ForgottenAt is when all that was kept of the contact was removed, zero for
	// never. What the CRM tells from that moment or before binds nothing any more.
	ForgottenAt time.Time
}

// Identities keeps who owned a device since when, and which devices a contact
// has. Every item has a version, 0 where it does not exist. Reads are strongly
// consistent. A Put MUST store only if the stored version is still
// version, and MUST answer ErrConflict otherwise; it stores version+1.
type Identities interface {
	// Devices gives the histories of the devices, in the order of keys; a device
	// that is not known has a zero history.
	Devices(ctx context.Context, keys []IdentityKey) ([]presence.History, []int64, error)
	PutDevice(ctx context.Context, key IdentityKey, h presence.History, version int64) error
	// Contact gives what is known of a contact, a zero record if nothing is.
	Contact(ctx context.Context, b events.BusinessID, c events.ContactID) (ContactRecord, int64, error)
	PutContact(ctx context.Context, b events.BusinessID, c events.ContactID, r ContactRecord, version int64) error
}

// Attribution is a walk-in and, once that is decided, whose it is. Contact is
// written once and never changed, so that a retry and a replay give a walk-in
// to the same contact.
type Attribution struct {
	WalkIn  events.WalkIn
	Contact events.ContactID // "" while pending
	BoundAt time.Time        // of the binding that decided; zero while pending
	// LastSeen is when the device was last seen, once the visit is over; zero
	// before.
	LastSeen time.Time
}

// Pending keeps walk-ins by device until their contact is known, and from then
// on the decision. Reads are strongly consistent.
type Pending interface {
	// PutNew stores a unless its walk-in is there already, and gives what is
	// stored then.
	PutNew(ctx context.Context, a Attribution, expires time.Time) (Attribution, error)
	// Resolve MUST set the contact only where none is set, and gives what is
	// stored then. The walk-in must have been stored.
	Resolve(ctx context.Context, a Attribution) (Attribution, error)
	// End notes when the visit's device was last seen, where nothing later is
	// noted, and gives what is stored then. It MUST store the walk-in without a
	// contact where it was not stored, since its end may be read before it is, and
	// of it what names it and its start; it never stores a contact. It and the others MUST change one walk-in one after
	// the other, so that of an end and a contact whoever comes second gives both.
	End(ctx context.Context, a Attribution, expires time.Time) (Attribution, error)
	// OfDevice gives the walk-ins of a device that started at from or later, in
	// the order of their start.
	OfDevice(ctx context.Context, key IdentityKey, from time.Time) ([]Attribution, error)
}

// CountKey names the counts of one contact of a business.
type CountKey struct {
	Business events.BusinessID
	Contact  events.ContactID
}

// MonthCount is the part of a contact's count that one month holds, or its
// base.
type MonthCount struct {
	Month string // "2026-11" in UTC, "" for the base
	// Total is the base, or what the visits of the month come to given the facts
	// of all months; see SetTotals.
	Total int64
	// Version is higher after every change of this part. That of a month is the
	// number of its facts, which never leave it; a base has one of its own.
	Version int64
	Facts   []presence.Fact // of a month, each once, in no order
}

// SetTotals sets totals and versions of the months from the facts of all parts.
func SetTotals(parts []MonthCount) {
	facts := make([][]presence.Fact, len(parts))
	for i := range parts {
		facts[i] = parts[i].Facts
	}
	for i, n := range presence.CountVisits(facts) {
		if parts[i].Month != "" {
			parts[i].Total, parts[i].Version = n, int64(len(facts[i]))
		}
	}
}

// Counts keeps, per contact and month, what is known of its visits, and what had
// been counted before.
type Counts interface {
	// Add adds facts to those of month, whatever is there: one that the month
	// holds already changes nothing. facts has no duplicates. It answers when all
	// of them are stored; where it fails some may be, the first ones first.
	Add(ctx context.Context, key CountKey, month string, facts []presence.Fact) error
	// Get gives the base count (month ""), where one was set, and every month in
	// ascending order, as SetTotals leaves them. Each part is as it was after
	// every write that was answered before; together they are no snapshot.
	Get(ctx context.Context, key CountKey) ([]MonthCount, error)
	// SetBase sets what had been counted before the first month that is kept.
	// It MUST store base only if the base's version is still version, 0 where
	// none was set, and MUST answer ErrConflict otherwise; it stores version+1.
	SetBase(ctx context.Context, key CountKey, base, version int64) error
}
