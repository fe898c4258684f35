// Package audit checks the counts of contacts. It recounts walk-ins from the
// topics, independently of the stages, and reports the differences to table
// counts and to topic walk-in-counts. It applies the rules through package oracle,
// a second and slow implementation.
//
// Start with [Run], which reads everything and returns a [Report]. [Recount]
// finds the visits in one partition of sightings, and [ReadCRM] with
// [CRM.Attribute] finds the contact of a device. The check at the end of a replay
// uses both without Run.
//
// # Recounted, or taken from the topics
//
// The audit expects a walk-in in the table if the oracle finds the visit in
// sightings and the CRM topics attribute the device to a contact. The topics do not
// always hold enough to decide. In the following cases the audit expects a walk-in
// if, and only if, the stages have produced it on enriched-walk-ins:
//
//   - The visit began before the first tick of sightings, or less than a lead-in
//     (see leadIn) after the first tick. Retention may have dropped a part of its
//     sightings.
//   - The device was heard without a pause since before the beginning of the
//     reading. The visit goes on until the first pause, and may have begun at any
//     time before.
//   - The rules of the business changed while the device was heard. Only the stage
//     knows the rules that were applied to each sighting and tick.
//   - The contact is uncertain: retention has dropped the beginning of a CRM topic,
//     or the binding of a randomised address may have expired, or the attribution may
//     have been decided before an event of the backfill arrived.
//   - The visit began so shortly before the watermark of its partition (see
//     settling) that the stage may not have confirmed it yet.
//
// In these cases the audit finds a walk-in that was produced and not counted. It
// does not find a walk-in of a wrong contact, or without a visit. A stricter audit
// would report false differences: recounted from the middle of the topic, each till
// and printer without a pause would be a new visit.
//
// Two more facts are taken from the topics:
//
//   - Topic visits-ended decides whether a device is a resident device, if less
//     than 29 days before the visit were read, or if the rules changed in the 29
//     days. Otherwise the oracle decides.
//   - A start or an end on enriched-walk-ins replaces the recounted time if the two
//     differ by at most one step. Input out of order can shift a time by one step,
//     and a step may decide whether two visits of a contact overlap.
//
// Records among the dead letters are left out of the recount, since no stage has
// processed them.
package audit
