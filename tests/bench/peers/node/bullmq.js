// BullMQ with a full queue of jobs that do nothing: bullmq.js REDIS_PORT COUNT
//
// Adds COUNT jobs, then one worker with a concurrency of 100 takes them. Prints, as one JSON object, the
// seconds from the worker's start until every job is recorded as completed.
import { Queue, Worker } from 'bullmq'

const [port, countText] = process.argv.slice(2)
const count = Number(countText)
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null }
const CHUNK = 5000, CONCURRENCY = 100

const queue = new Queue('noop', { connection })
for (let left = count; left > 0; left -= CHUNK) {
  await queue.addBulk(Array.from({ length: Math.min(left, CHUNK) }, () => ({ name: 'noop', data: {} })))
}

let done = 0
const start = performance.now()
const worker = new Worker('noop', async () => {}, { connection, concurrency: CONCURRENCY })
worker.on('error', (error) => { console.error('bullmq:', error); process.exit(1) })
await new Promise((resolve) => {
  worker.on('completed', () => { if (++done === count) resolve() })
})
const seconds = (performance.now() - start) / 1000
const recorded = await queue.getCompletedCount()
console.log(JSON.stringify({ jobs: recorded, seconds }))
process.exit(0)
