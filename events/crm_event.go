package events

import (
	"encoding/json"
	"errors"
	"time"
)

// CRMEvent is one record of topic crm-events or crm-events-backfill. Exactly one
// of its fields is set.
//
// The JSON form is that of the record with one more field, "type", which is
// "portal-login", "contact-changed" or "contact-deleted".
type CRMEvent struct {
	Login   *PortalLogin
	Changed *ContactChanged
	Deleted *ContactDeleted
}

var crmDecoders = newDecoders(portalLoginType, contactChangedType, contactDeletedType)

// Business returns the business of the record that is set, or "" if none is.
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

// At returns the event time of the record that is set, or the zero time if none
// is.
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
// crm-events-backfill, which is Avro or JSON. If it returns an error the event
// is zero. Every error is a *BadRecord.
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

// crmRecord is the interface of the three records of a CRMEvent.
type crmRecord interface {
	keyed
	readJSON(data []byte) error
}

// readCRM returns the event, and the record in it for validation. It checks
// neither fields nor key.
func readCRM(value []byte) (CRMEvent, crmRecord, error) {
	if isJSON(value) {
		return readCRMObject(value)
	}
	// Avro: the fingerprint names the record and its version.
	d, body, err := crmDecoders.find(value)
	if err != nil {
		return CRMEvent{}, nil, err
	}
	e, record := newCRMEvent(d.record.name)
	return e, record, d.decodeBody(body, record)
}

// readCRMObject is readCRM for JSON. The field "type" names the record.
func readCRMObject(data []byte) (CRMEvent, crmRecord, error) {
	var kind string
	if err := readObject(data, jsonField{name: "type", into: &kind}); err != nil {
		return CRMEvent{}, nil, err
	}
	e, record := newCRMEvent(kind)
	if record == nil {
		return CRMEvent{}, nil, Bad(UnknownSchema, "type: %.*q is not a CRM event", maxShown, kind)
	}
	return e, record, record.readJSON(data)
}

// newCRMEvent returns an event with an empty record of the given name, and that
// record. The record is nil if the name is not one of the three.
func newCRMEvent(name string) (CRMEvent, crmRecord) {
	switch name {
	case portalLoginType.name:
		r := new(PortalLogin)
		return CRMEvent{Login: r}, r
	case contactChangedType.name:
		r := new(ContactChanged)
		return CRMEvent{Changed: r}, r
	case contactDeletedType.name:
		r := new(ContactDeleted)
		return CRMEvent{Deleted: r}, r
	default:
		return CRMEvent{}, nil
	}
}

// errNotOneRecord is a mistake of the calling program, not of a record that was
// read.
var errNotOneRecord = errors.New("a CRM event must hold exactly one record")

// MarshalJSON returns the form that DecodeCRM accepts. It returns an error
// unless exactly one record is set.
func (e CRMEvent) MarshalJSON() ([]byte, error) {
	// The embedded record adds its own fields behind "type".
	switch {
	case e.Login != nil && e.Changed == nil && e.Deleted == nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*PortalLogin
		}{portalLoginType.name, e.Login})
	case e.Login == nil && e.Changed != nil && e.Deleted == nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*ContactChanged
		}{contactChangedType.name, e.Changed})
	case e.Login == nil && e.Changed == nil && e.Deleted != nil:
		return json.Marshal(struct {
			Type string `json:"type"`
			*ContactDeleted
		}{contactDeletedType.name, e.Deleted})
	default:
		return nil, errNotOneRecord
	}
}

// UnmarshalJSON reads and validates the form of MarshalJSON. If it returns an
// error the event is unchanged. Its errors are *BadRecord, also for JSON's null.
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
