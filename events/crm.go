package events

import (
	"encoding/json"
	"errors"
	"time"
)

// CRMEvent is what topics crm-events and crm-events-backfill carry. Exactly one
// of its fields is set.
//
// Its JSON form is the object of that record with one more field: "type", which
// is "portal-login", "contact-changed" or "contact-deleted".
type CRMEvent struct {
	Login   *PortalLogin
	Changed *ContactChanged
	Deleted *ContactDeleted
}

var crmReaders = newReaders(portalLoginRecord, contactChangedRecord, contactDeletedRecord)

// Business is the business of the record that is set, "" if none is.
func (e CRMEvent) Business() BusinessID {
	switch {
	case e.Login != nil:
		return e.Login.Business
	case e.Changed != nil:
		return e.Changed.Business
	case e.Deleted != nil:
		return e.Deleted.Business
	default:
		return ""
	}
}

// At is the time of the record that is set, zero if none is.
func (e CRMEvent) At() time.Time {
	switch {
	case e.Login != nil:
		return e.Login.At
	case e.Changed != nil:
		return e.Changed.At
	case e.Deleted != nil:
		return e.Deleted.At
	default:
		return time.Time{}
	}
}

// DecodeCRM decodes and validates a record of topic crm-events or
// crm-events-backfill, Avro or JSON. All its errors are *BadRecord.
func DecodeCRM(key, value []byte) (CRMEvent, error) {
	if err := checkSize(value); err != nil {
		return CRMEvent{}, err
	}
	e, record, err := readCRM(value)
	if err != nil {
		return CRMEvent{}, err
	}
	if err := check(record, key); err != nil {
		return CRMEvent{}, err
	}
	return e, nil
}

// crmRecord is one of the three records of a CRMEvent.
type crmRecord interface {
	event
	readJSON(data []byte) error
}

// readCRM also gives the record that it set in the event, for validation.
func readCRM(value []byte) (CRMEvent, crmRecord, error) {
	if isJSON(value) {
		return readCRMObject(value)
	}
	r, body, err := crmReaders.find(value)
	if err != nil {
		return CRMEvent{}, nil, err
	}
	e, record := newCRMEvent(r.record.name)
	return e, record, r.decodeBody(body, record)
}

func readCRMObject(data []byte) (CRMEvent, crmRecord, error) {
	var kind string
	if err := readObject(data, jsonField{name: "type", into: &kind}); err != nil {
		return CRMEvent{}, nil, err
	}
	e, record := newCRMEvent(kind)
	if record == nil {
		return CRMEvent{}, nil, Bad(UnknownSchema, "type: %.*q is no CRM event", maxShown, kind)
	}
	return e, record, record.readJSON(data)
}

// newCRMEvent makes an event with an empty record of the given name, and gives
// that record too; nil for a name that is none of the three.
func newCRMEvent(name string) (CRMEvent, crmRecord) {
	switch name {
	case portalLoginRecord.name:
		r := new(PortalLogin)
		return CRMEvent{Login: r}, r
	case contactChangedRecord.name:
		r := new(ContactChanged)
		return CRMEvent{Changed: r}, r
	case contactDeletedRecord.name:
		r := new(ContactDeleted)
		return CRMEvent{Deleted: r}, r
	default:
		return CRMEvent{}, nil
	}
}

// errNotOneRecord is about an event that a program made, not one that it read.
var errNotOneRecord = errors.New("a CRM event holds exactly one record")

// MarshalJSON gives the form that DecodeCRM accepts. It fails unless exactly
// one record is set.
func (e CRMEvent) MarshalJSON() ([]byte, error) {
	switch {
	case e.Login != nil && e.Changed == nil && e.Deleted == nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*PortalLogin
		}{portalLoginRecord.name, e.Login})
	case e.Login == nil && e.Changed != nil && e.Deleted == nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*ContactChanged
		}{contactChangedRecord.name, e.Changed})
	case e.Login == nil && e.Changed == nil && e.Deleted != nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*ContactDeleted
		}{contactDeletedRecord.name, e.Deleted})
	default:
		return nil, errNotOneRecord
	}
}

// UnmarshalJSON reads and validates the same form. Its errors are *BadRecord;
// JSON's null is one.
func (e *CRMEvent) UnmarshalJSON(data []byte) error {
	read, record, err := readCRMObject(data)
	if err != nil {
		return err
	}
	if err := record.Validate(); err != nil {
		return err
	}
	*e = read
	return nil
}

func (r *PortalLogin) keyParts() (BusinessID, string)    { return r.Business, "" }
func (r *ContactChanged) keyParts() (BusinessID, string) { return r.Business, "" }
func (r *ContactDeleted) keyParts() (BusinessID, string) { return r.Business, "" }

func (r *PortalLogin) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "device", into: (*string)(&r.Device)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "at", into: &r.At},
		jsonField{name: "randomised", into: &r.Randomised, optional: true},
	)
}

func (r *ContactChanged) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "merged_into", into: (*string)(&r.MergedInto), optional: true},
		jsonField{name: "at", into: &r.At},
	)
}

func (r *ContactDeleted) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "at", into: &r.At},
	)
}
