// pg-boss with a full queue of jobs that do nothing: pgboss.js DATABASE_URL COUNT
//
// Inserts COUNT jobs, then two loops fetch 500 at a time and complete them. Prints, as one JSON object,
// the seconds from the first fetch until every job is recorded as completed.
import { PgBoss } from 'pg-boss'

const [url, countText] = process.argv.slice(2)
const count = Number(countText)
const queue = 'noop'
const CHUNK = 5000, BATCH = 500, LOOPS = 2

const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false })
boss.on('error', (error) => { console.error('pg-boss:', error); process.exit(1) })
await boss.start()
await boss.createQueue(queue)
for (let left = count; left > 0; left -= CHUNK) {
  await boss.insert(queue, Array.from({ length: Math.min(left, CHUNK) }, () => ({ data: {} })))
}

let done = 0
async function work() {
  while (done < count) {
    const jobs = await boss.fetch(queue, { batchSize: BATCH })
    if (!jobs || jobs.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      continue
    }
    await boss.complete(queue, jobs.map((job) => job.id))
    done += jobs.length
  }
}
const start = performance.now()
await Promise.all(Array.from({ length: LOOPS }, work))
const seconds = (performance.now() - start) / 1000
await boss.stop({ graceful: false })
console.log(JSON.stringify({ jobs: done, seconds }))
process.exit(0)
