package events

import (
	"cmp"
	"time"
)

// ContactChanged is a change of a contact in the CRM: other details, or a merge
// of two contacts that were found to be one person.
// Topics: crm-events, crm-events-backfill. Key: BusinessKey(Business).
type ContactChanged struct {
	// Business is the store of the CRM.
	Business BusinessID `avro:"business" json:"business"`
	// Contact is the contact that changed.
	Contact ContactID `avro:"contact" json:"contact"`
	// MergedInto is the contact that Contact was merged into, which lives on. It
	// is "" if only details changed.
	MergedInto ContactID `avro:"merged_into" json:"merged_into"`
	// At is the moment at which the CRM made the change.
	At time.Time `avro:"at" json:"at"`
}

var contactChangedType = mustRecordType(schemaFiles, "contact-changed")

// Validate checks every field, see [Sighting.Validate]. MergedInto may be "".
func (r *ContactChanged) Validate() error {
	// Only a merge has a second contact.
	if r.MergedInto != "" {
		if err := validID("merged_into", string(r.MergedInto)); err != nil {
			return err
		}
	}
	return cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

func (r *ContactChanged) keyParts() (BusinessID, string) { return r.Business, "" }
func (*ContactChanged) recordType() *recordType          { return contactChangedType }

func (r *ContactChanged) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "merged_into", into: (*string)(&r.MergedInto), optional: true},
		jsonField{name: "at", into: &r.At},
	)
}
