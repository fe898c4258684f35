package events

import (
	"cmp"
	"time"
)

// ContactDeleted is the deletion of a contact in the CRM. From At on the contact
// has no devices; visits that were attributed and counted before stay as they
// are.
// Topics: crm-events, crm-events-backfill. Key: BusinessKey(Business).
type ContactDeleted struct {
	// Business is the store of the CRM.
	Business BusinessID `avro:"business" json:"business"`
	// Contact is the contact that was deleted.
	Contact ContactID `avro:"contact" json:"contact"`
	// At is the moment at which the CRM deleted the contact.
	At time.Time `avro:"at" json:"at"`
}

var contactDeletedType = mustRecordType(schemaFiles, "contact-deleted")

// Validate checks every field, see [Sighting.Validate].
func (r *ContactDeleted) Validate() error {
	return cmp.Or(
		validBusiness(r.Business),
		validID("contact", string(r.Contact)),
		validTime("at", r.At),
	)
}

func (r *ContactDeleted) keyParts() (BusinessID, string) { return r.Business, "" }
func (*ContactDeleted) recordType() *recordType          { return contactDeletedType }

func (r *ContactDeleted) readJSON(data []byte) error {
	return readObject(data,
		jsonField{name: "business", into: (*string)(&r.Business)},
		jsonField{name: "contact", into: (*string)(&r.Contact)},
		jsonField{name: "at", into: &r.At},
	)
}
