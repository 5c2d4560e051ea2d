// node-postgres: text queries, parameters, named statements, an error. Usage: node node_postgres.js PORT
const { Client } = require('pg');

async function main() {
  const client = new Client({ host: '127.0.0.1', port: +process.argv[2], user: 'canary_user', password: 'canary-password', database: 'postgres' });
  await client.connect();
  await client.query("SELECT 'canary' AS word");
  await client.query('SELECT name FROM shop WHERE price > $1 AND name <> $2', [3, 'canary']);
  for (let i = 0; i < 3; i++) {
    await client.query({ name: 'find-by-id', text: 'SELECT * FROM shop WHERE id = $1', values: [i] });
  }
  await client.query('SELECT * FROM missing').catch(() => undefined);
  await client.query('BEGIN; UPDATE shop SET price = 12.5 WHERE id = 1; ROLLBACK');
  await client.end();
}
main();
