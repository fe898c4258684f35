package events

import "encoding/binary"

// Partition gives the partition of a key among partitions, which must be above
// 0, as Kafka's default partitioner does for keyed records: murmur2 without its
// sign bit, modulo the number of partitions. It is here so that whoever needs
// to know where a key lives needs no Kafka client for it.
func Partition(key []byte, partitions int32) int32 {
	return int32(murmur2(key)&0x7fff_ffff) % partitions
}

// murmur2 is MurmurHash2 for 32 bits, little-endian, with the seed that Kafka's
// Java client took (org.apache.kafka.common.utils.Utils.murmur2).
func murmur2(data []byte) uint32 {
	const seed, m = 0x9747b28c, 0x5bd1e995
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k = (k ^ k>>24) * m
		h = h*m ^ k
	}
	if len(data) > 0 {
		var last [4]byte
		copy(last[:], data)
		h = (h ^ binary.LittleEndian.Uint32(last[:])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}
