// Package ingest is the stage behind HTTP. It accepts the posts of routers, their
// clouds, portals and agents, and produces sightings of pseudonyms to topic
// sightings and logins to crm-events. Package senders, beneath it, reads the
// formats of the makes.
//
// Start reading at Handler.Invoke. A request passes these checks, in this order.
// The first check to fail answers the request (rejection.go lists the codes):
//
//  1. The path names a business and a kind, and the method is allowed.
//  2. The body is no larger than 6 MB.
//  3. The business has a sender of the kind configured.
//  4. The body can be decoded from base64 and gzip, up to 16 MB.
//  5. The sender knows a secret of the business for the kind.
//  6. The sender is within its rate. The check comes after the secret, so that
//     only the sender itself can use up its rate.
//  7. No equal body of the sender was accepted within the hour.
//  8. The body has the format of the kind, within the limits of package senders.
//  9. A record is usable, or none was left out for a mistake. Unusable records
//     beside usable ones are left out and counted.
//  10. All records are acknowledged by Kafka. Only then the answer is 200.
//
// Nothing is produced before step 10, and a post is accepted as a whole or not at
// all. If the producer fails, some of the records may be stored although the
// answer is 503. The sender then posts the same body again and the records are
// produced again, which changes nothing: a sighting has no id of its own, detect
// counts steps of two minutes, and identify keeps bindings by their time. Step 7
// does not stop the repetition, since only an accepted body is remembered.
package ingest
