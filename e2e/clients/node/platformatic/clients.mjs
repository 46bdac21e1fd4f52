// clients.mjs BOOTSTRAP PEER: what @platformatic/kafka expects of Kafka.
import { readFileSync } from 'node:fs'
import { Admin, Consumer, Producer, stringSerializers } from '@platformatic/kafka'
import { COMPRESSIONS, count, end, eventually, expect, name, noise, PATIENCE_MS, refused as refusedBy, states, within } from '../statements.mjs'

const [bootstrap, peer] = process.argv.slice(2)
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.resolve('@platformatic/kafka'))))
console.log(`# @platformatic/kafka ${version} against ${peer}`)
const base = { clientId: 'platformatic', bootstrapBrokers: [bootstrap], retries: 5, retryDelay: 100, timeout: 30_000 }
const admin = new Admin(base)

// What Kafka calls it: the protocol's errors may be several, and the cause of others.
const codes = why => [why?.apiId, ...(why?.errors ?? []).flatMap(codes), ...(why?.cause ? codes(why.cause) : [])].filter(Boolean)
const refused = (expected, body) => refusedBy(expected, why => codes(why).find(one => one === expected) ?? `${why.code} ${why.message} ${codes(why)}`, body)
// For topics whose records have timestamps of long ago: by default Kafka would delete them, at a moment nobody knows.
const KEPT = { 'retention.ms': '-1' }

const create = (topic, { partitions = 1, replicas = 1, configs = {} } = {}) =>
  admin.createTopics({ topics: [topic], partitions, replicas, configs: Object.entries(configs).map(([name, value]) => ({ name, value })) })

const offset = async (of, timestamp, partition = 0) =>
  (await admin.listOffsets({ topics: [{ name: of, partitions: [{ partitionIndex: partition, timestamp: BigInt(timestamp) }] }] }))[0].partitions[0].offset

async function topic (hint, partitions = 1, configs = {}) {
  const created = name('platformatic', hint)
  await create(created, { partitions, configs })
  // Kafka's controller answers before the broker leads the partitions.
  await eventually('the topic is led', async () => {
    try {
      for (let p = 0; p < partitions; p++) await offset(created, -1, p)
      return true
    } catch {
      return false
    }
  })
  return created
}

async function send (of, messages, settings = {}) {
  const producer = new Producer({ ...base, ...settings })
  try {
    return await producer.send({ messages: messages.map(m => ({ topic: of, ...m })) })
  } finally {
    await producer.close()
  }
}

const numbered = (n, partition = 0) => count(n, i => ({ partition, key: Buffer.from(`k${i}`), value: Buffer.from(`v${i}`) }))
const text = message => message.value?.toString()

// A member of a group, for this client always reads as one; with given offsets it reads from there.
async function member (groupId, of, { mode = 'earliest', consume = {}, ...settings } = {}) {
  const consumer = new Consumer({ ...base, groupId, maxWaitTime: 100, metadataMaxAge: 1000, autocommit: false,
    ...(settings.groupProtocol === 'consumer' ? {} : { sessionTimeout: 10_000, rebalanceTimeout: 10_000, heartbeatInterval: 500 }), ...settings })
  const stream = await within(PATIENCE_MS, 'the member joins', consumer.consume({ topics: [of].flat(), mode, fallbackMode: 'earliest', ...consume }))
  const got = []
  let failure
  stream.on('data', message => got.push(message))
  stream.on('error', why => { failure = why })
  return {
    consumer,
    stream,
    got,
    owned: () => (consumer.assignments ?? []).flatMap(a => a.partitions),
    failed: () => failure,
    close: () => within(PATIENCE_MS, 'the member leaves', stream.close().then(() => consumer.close()))
  }
}

async function read (of, n, settings) {
  const reader = await member(name('platformatic', 'reader'), of, settings)
  try {
    await eventually(`${n} records of ${of}`, () => {
      if (reader.failed()) throw reader.failed()
      return reader.got.length >= n
    })
    return reader.got
  } finally {
    await reader.close()
  }
}

for (const compression of COMPRESSIONS) {
  await states(`${compression}: keys, values, headers, timestamps and order come back as sent`, async () => {
    const of = await topic(compression, 1, KEPT)
    const sent = count(200, i => ({
      partition: 0,
      timestamp: BigInt(1_600_000_000_000 + i * 37 % 101),
      headers: new Map(count(i % 4, h => [Buffer.from(`h${h}`), Buffer.from(`${i}${h}`)])),
      ...(i % 5 === 1 ? {} : { key: Buffer.from(`key${i}`) }),
      ...(i % 5 === 2 ? {} : { value: Buffer.concat([noise(i * 10 + 1), Buffer.alloc(i * 10)]) })
    }))
    await send(of, sent, { compression })
    const got = await read(of, 200)
    const headers = all => [...all].map(([key, value]) => `${key}=${value}`)
    sent.forEach((theirs, i) => {
      const ours = got[i]
      expect(`record ${i}`, { offset: BigInt(i), key: theirs.key?.toString('hex') ?? '', value: theirs.value?.toString('hex') ?? '', headers: headers(theirs.headers), timestamp: theirs.timestamp },
        { offset: ours.offset, key: ours.key?.toString('hex') ?? '', value: ours.value?.toString('hex') ?? '', headers: headers(ours.headers), timestamp: ours.timestamp })
    })
  })

  await states(`${compression}: a record of 1 MB comes back as sent`, async () => {
    const of = await topic(compression)
    const value = noise(1_000_000)
    await send(of, [{ value }], { compression })
    expect('the value is the same', true, (await read(of, 1))[0].value.equals(value))
  })
}

for (const [shown, settings] of [['acks=1', { acks: 1 }], ['acks=-1', { acks: -1 }], ['idempotent', { idempotent: true }]]) {
  await states(`${shown}: offsets are told, and records come in order`, async () => {
    const of = await topic('acks')
    const producer = new Producer({ ...base, ...settings })
    const told = []
    try {
      for (let i = 0; i < 50; i++) {
        const { offsets: [first] } = await producer.send({ messages: numbered(20).map(m => ({ topic: of, ...m })) })
        told.push(first.offset)
      }
    } finally {
      await producer.close()
    }
    expect('offsets', count(50, i => BigInt(i * 20)), told)
    expect('values', count(1000, i => `v${i % 20}`), (await read(of, 1000)).map(text))
  })
}

await states('acks=0: records are stored in order', async () => {
  const of = await topic('acks')
  await send(of, numbered(100), { acks: 0 })
  expect('values', count(100, i => `v${i}`), (await read(of, 100)).map(text))
})

await states('records of one key go to one partition, as many keys to all', async () => {
  const of = await topic('keys', 4)
  await send(of, count(400, i => ({ key: Buffer.from(`key${i % 40}`), value: Buffer.from('v') })))
  const homes = {}
  for (const { key, partition } of await read(of, 400)) (homes[key] ??= new Set()).add(partition)
  expect('keys', 40, Object.keys(homes).length)
  expect('partitions of each key', true, Object.values(homes).every(some => some.size === 1))
  expect('partitions', 4, new Set(Object.values(homes).flatMap(some => [...some])).size)
})

await states('serializers: text in, text out', async () => {
  const of = await topic('text')
  const producer = new Producer({ ...base, serializers: stringSerializers })
  await producer.send({ messages: [{ topic: of, key: 'schön', value: '✓', headers: { a: 'b' } }] })
  await producer.close()
  const [message] = await read(of, 1)
  expect('record', ['schön', '✓'], [message.key.toString(), text(message)])
})

await states('a record above max.message.bytes is refused: MESSAGE_TOO_LARGE', async () => {
  const of = await topic('large')
  await refused('MESSAGE_TOO_LARGE', () => send(of, [{ value: noise(1_100_000) }]))
  expect('offset of the next', 0n, (await send(of, [{ value: Buffer.from('small') }])).offsets[0].offset)
})

await states("LogAppendTime: the broker's clock replaces the record's timestamp", async () => {
  const of = await topic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  for (const compression of COMPRESSIONS) await send(of, [{ value: Buffer.from('v'), timestamp: 1000n }], { compression })
  expect('records', 5, (await read(of, 5)).length)
  expect('none is older than an hour', 0n, await offset(of, Date.now() - 3_600_000))
})

await states('a timestamp two hours ahead is refused by default: INVALID_TIMESTAMP', async () => {
  const of = await topic('ahead')
  await refused('INVALID_TIMESTAMP', () => send(of, [{ value: Buffer.from('v'), timestamp: BigInt(Date.now() + 7_200_000) }]))
})

await states('50 partitions: each keeps its order, and nothing is lost or doubled', async () => {
  const of = await topic('fifty', 50)
  await send(of, count(3000, i => ({ partition: i % 50, value: Buffer.from(String(i)) })), { compression: 'lz4' })
  const seen = count(50, () => [])
  for (const message of await read(of, 3000)) seen[message.partition].push(Number(text(message)))
  expect('values', count(50, p => count(60, i => i * 50 + p)), seen)
})

await states('producing to a topic that does not exist creates it where that is asked for', async () => {
  const of = name('platformatic', 'sprung')
  expect('offset', 0n, (await send(of, [{ value: Buffer.from('v') }], { autocreateTopics: true })).offsets[0].offset)
})

await states('latest: only what is written from then on is read', async () => {
  const of = await topic('latest')
  await send(of, numbered(10))
  const reader = await member(name('platformatic', 'group'), of, { mode: 'latest' })
  try {
    await send(of, [{ value: Buffer.from('new') }])
    await eventually('it came', () => reader.got.length > 0)
    expect('first', [10n, 'new'], [reader.got[0].offset, text(reader.got[0])])
  } finally {
    await reader.close()
  }
})

await states('from given offsets, also in the middle of a batch', async () => {
  const of = await topic('manual')
  await send(of, numbered(100), { compression: 'gzip' })
  for (const from of [57, 3, 99, 0]) {
    const got = await read(of, 100 - from, { mode: 'manual', consume: { offsets: [{ topic: of, partition: 0, offset: BigInt(from) }] } })
    expect('first', [BigInt(from), `v${from}`], [got[0].offset, text(got[0])])
  }
})

await states('isolation read committed on plain records: the same records', async () => {
  const of = await topic('committed')
  await send(of, numbered(50))
  expect('last', 49n, (await read(of, 50, { isolationLevel: 1 }))[49].offset)
})

await states('long polling: a record produced while a consumer waits arrives well before maxWaitTime', async () => {
  const of = await topic('long-poll')
  const reader = await member(name('platformatic', 'group'), of, { maxWaitTime: 20_000 })
  try {
    for (let i = 1; i <= 3; i++) {
      const start = Date.now()
      await send(of, [{ value: Buffer.from('v') }])
      await eventually('it came', () => reader.got.length === i)
      expect('prompt', true, Date.now() - start < 5000)
    }
  } finally {
    await reader.close()
  }
})

await states('a batch larger than the fetch limit is delivered all the same', async () => {
  const of = await topic('tight', 3)
  for (let partition = 0; partition < 3; partition++) await send(of, [{ partition, value: noise(50_000) }])
  expect('partitions', [0, 1, 2], (await read(of, 3, { maxBytes: 1 })).map(m => m.partition).sort())
})

await states('offsets: earliest, latest, greatest timestamp, by time, after the last', async () => {
  const of = await topic('times', 1, KEPT)
  await send(of, count(30, i => ({ partition: 0, value: Buffer.from(`v${i}`), timestamp: BigInt(10_000 + 100 * i) })))
  for (const [time, expected] of [[-2, 0n], [-1, 30n], [-3, 29n], [10_000, 0n], [10_001, 1n], [10_700, 7n], [12_901, -1n]]) {
    expect(`for ${time}`, expected, await offset(of, time))
  }
})

await states('deleted records are gone, -1 deletes all, and beyond the end is refused: OFFSET_OUT_OF_RANGE', async () => {
  const of = await topic('delete')
  await send(of, numbered(20))
  const remove = async before => (await admin.deleteRecords({ topics: [{ name: of, partitions: [{ partition: 0, offset: BigInt(before) }] }] }))[0].partitions[0].lowWatermark
  expect('low watermark', 6n, await remove(6))
  expect('first that is left', 6n, (await read(of, 14))[0].offset)
  await refused('OFFSET_OUT_OF_RANGE', () => remove(21))
  expect('low watermark', 20n, await remove(-1))
})

await states('topics: created, described, grown, deleted', async () => {
  const of = await topic('topics', 3)
  const partitions = async () => (await admin.metadata({ topics: [of], forceUpdate: true })).topics.get(of).partitionsCount
  expect('partitions', 3, await partitions())
  expect('listed', true, (await admin.listTopics()).includes(of))
  const grow = count => admin.createPartitions({ topics: [{ name: of, count, assignments: [] }] })
  await refused('INVALID_PARTITIONS', () => grow(2))
  await admin.createPartitions({ topics: [{ name: of, count: 5, assignments: null }] })
  await eventually('five partitions', async () => await partitions() === 5)
  await admin.deleteTopics({ topics: [of] })
  await eventually('it is gone', async () => !(await admin.listTopics()).includes(of))
  await refused('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [of] }))
})

await states('bad topics are refused: existing, bad name, too many replicas, no partitions, bad setting', async () => {
  const of = await topic('exists')
  await refused('TOPIC_ALREADY_EXISTS', () => create(of))
  await refused('INVALID_TOPIC_EXCEPTION', () => create('bad name'))
  await refused('INVALID_REPLICATION_FACTOR', () => create(of + 'rf', { replicas: 4 }))
  await refused('INVALID_PARTITIONS', () => create(of + 'p', { partitions: 0 }))
  await refused('INVALID_CONFIG', () => create(of + 'c', { configs: { 'retention.ms': 'soon' } }))
})

await states('settings: described, set, appended to, deleted, replaced as a whole; a bad value is refused: INVALID_CONFIG', async () => {
  const of = await topic('settings', 1, { 'retention.ms': '4711' })
  const value = async key => (await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: of, configurationKeys: [key] }] }))[0].configs[0].value
  const alter = (configOperation, name, value) => admin.incrementalAlterConfigs({ resources: [{ resourceType: 2, resourceName: of, configs: [{ name, configOperation, value }] }] })
  expect('retention.ms', '4711', await value('retention.ms'))
  await alter(0, 'retention.ms', '99')
  await eventually('set', async () => await value('retention.ms') === '99')
  await alter(2, 'cleanup.policy', 'compact')
  await eventually('appended', async () => await value('cleanup.policy') === 'delete,compact')
  await alter(1, 'retention.ms', null)
  await eventually('deleted', async () => await value('retention.ms') === '604800000')
  await refused('INVALID_CONFIG', () => alter(0, 'retention.ms', 'soon'))
  await admin.alterConfigs({ resources: [{ resourceType: 2, resourceName: of, configs: [{ name: 'max.message.bytes', value: '5000' }] }] })
  await eventually('replaced', async () => await value('max.message.bytes') === '5000' && await value('cleanup.policy') === 'delete')
})

await states('the cluster is described: its id, its node, its controller, its folder', async () => {
  const { id, brokers, controllerId } = await admin.metadata({ topics: [], forceUpdate: true })
  const [[nodeId, { host, port }]] = brokers
  expect('length of the id', 22, id.length)
  expect('address', bootstrap, `${host}:${port}`)
  expect('controller', nodeId, controllerId)
  const of = await topic('dirs')
  await send(of, numbered(100))
  const [{ results: [folder] }] = await admin.describeLogDirs({ topics: [{ name: of, partitions: [0] }] })
  expect('partition', [of, 0, true], [folder.topics[0].name, folder.topics[0].partitions[0].partitionIndex, folder.topics[0].partitions[0].partitionSize > 0n])
})

const committed = async (group, of) => {
  const [{ topics }] = await admin.listConsumerGroupOffsets({ groups: [group] })
  return topics.filter(t => t.name === of).flatMap(t => t.partitions.map(p => [p.partitionIndex, p.committedOffset]))
}

for (const groupProtocol of ['classic', 'consumer']) {
  await states(`groups, ${groupProtocol}: a commit is read back, and a member that comes later reads on there`, async () => {
    const [of, group] = [await topic('resume', 2), name('platformatic', 'group')]
    await send(of, numbered(10))
    const one = await member(group, of, { groupProtocol })
    await eventually('all is read', () => one.got.length === 10)
    await one.got[6].commit()
    await one.close()
    expect('committed', [[0, 7n]], await committed(group, of))
    const two = await member(group, of, { groupProtocol, mode: 'committed' })
    try {
      await eventually('the rest is read', () => two.got.length === 3)
      expect('first', 7n, two.got[0].offset)
    } finally {
      await two.close()
    }
  })

  await states(`groups, ${groupProtocol}: a second member gets half of the partitions, they are given back when it leaves, and everything is read`, async () => {
    const [of, group] = [await topic('shared', 4), name('platformatic', 'group')]
    const one = await member(group, of, { groupProtocol })
    let two
    try {
      await eventually('it owns four', () => one.owned().length === 4)
      two = await member(group, of, { groupProtocol })
      await eventually('each owns two', () => one.owned().length === 2 && two.owned().length === 2)
      expect('shared out', [0, 1, 2, 3], [...one.owned(), ...two.owned()].sort())
      await send(of, count(4, p => numbered(5, p)).flat())
      await eventually('all is read', () => new Set([...one.got, ...two.got].map(m => `${m.partition}:${m.offset}`)).size === 20)
      await two.close()
      two = undefined
      await eventually('it owns four again', () => one.owned().length === 4)
    } finally {
      await one.close()
      await two?.close()
    }
  })

  await states(`groups, ${groupProtocol}: listed by state and type`, async () => {
    const [of, group] = [await topic('list'), name('platformatic', 'group')]
    const one = await member(group, of, { groupProtocol })
    try {
      await eventually('it owns one', () => one.owned().length === 1)
      await eventually('listed as stable', async () => (await admin.listGroups({ states: ['STABLE'], types: [groupProtocol] })).has(group))
      expect('listed as empty', false, (await admin.listGroups({ states: ['EMPTY'], types: [groupProtocol] })).has(group))
    } finally {
      await one.close()
    }
    // With the newer protocol this client does not say that it leaves: its session must end first, and that is 45 seconds by default.
    if (groupProtocol === 'classic') await eventually('listed as empty', async () => (await admin.listGroups({ states: ['EMPTY'] })).has(group))
  })
}

await states('groups: described with state, assignor and members; a member is removed', async () => {
  const [of, group] = [await topic('describe', 3), name('platformatic', 'group')]
  const one = await member(group, of)
  try {
    const told = (await admin.describeGroups({ groups: [group] })).get(group)
    expect('group', ['Stable', 'consumer'], [told.state, told.protocolType])
    expect('member', [[one.consumer.memberId, 'platformatic', '/127.0.0.1']], [...told.members.values()].map(m => [m.id, m.clientId, m.clientHost]))
    const found = await admin.findCoordinator({ keyType: 0, keys: [group] })
    expect('coordinator', bootstrap, `${found[0].host}:${found[0].port}`)
    await refused('NON_EMPTY_GROUP', () => admin.deleteGroups({ groups: [group] }))
  } finally {
    await one.close()
  }
})

await states('groups: offsets are altered and deleted without members, the group too, and then it is unknown: GROUP_ID_NOT_FOUND', async () => {
  const [of, group] = [await topic('alter', 2), name('platformatic', 'group')]
  await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: of, partitionOffsets: [{ partition: 0, offset: 3n }, { partition: 1, offset: 4n }] }] })
  expect('altered', [[0, 3n], [1, 4n]], (await committed(group, of)).sort())
  await admin.deleteConsumerGroupOffsets({ groupId: group, topics: [{ name: of, partitionIndexes: [0] }] })
  expect('left', [[1, 4n]], await committed(group, of))
  await admin.deleteGroups({ groups: [group] })
  await refused('GROUP_ID_NOT_FOUND', () => admin.deleteGroups({ groups: [group] }))
})

await states('groups: the lag is what is not committed yet', async () => {
  const [of, group] = [await topic('lag'), name('platformatic', 'group')]
  await send(of, numbered(10))
  const one = await member(group, of)
  try {
    await eventually('all is read', () => one.got.length === 10)
    await one.got[3].commit()
    const lag = await one.consumer.getLag({ topics: [of] })
    expect('lag', [6n], lag.get(of))
  } finally {
    await one.close()
  }
})

await states('quotas of a client id are set, described and removed', async () => {
  const who = name('platformatic', 'quota')
  const alter = remove => admin.alterClientQuotas({ entries: [{ entities: [{ entityType: 'client-id', entityName: who }], ops: [{ key: 'producer_byte_rate', value: 1_000_000, remove }] }] })
  const described = () => admin.describeClientQuotas({ strict: true, components: [{ entityType: 'client-id', matchType: 0, match: who }] })
  await alter(false)
  await eventually('set', async () => (await described()).length === 1)
  await alter(true)
  await eventually('removed', async () => (await described()).length === 0)
})

await states('a transaction’s records are read when it is committed, and not when it is aborted', async () => {
  const of = await topic('transaction')
  const producer = new Producer({ ...base, retries: 100, idempotent: true, transactionalId: name('platformatic', 'transaction') })
  try {
    for (const commit of [false, true]) {
      const transaction = await within(20_000, 'the transaction begins', producer.beginTransaction())
      await transaction.send({ messages: numbered(5).map(m => ({ topic: of, ...m })) })
      await (commit ? transaction.commit() : transaction.abort())
    }
  } finally {
    await producer.close(true).catch(() => {})
  }
  expect('first that is committed', 6n, (await read(of, 5, { isolationLevel: 1 }))[0].offset)
})

await admin.close()
end()
