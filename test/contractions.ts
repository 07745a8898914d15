/**
 * The statements of a migration that would break the previous version's processes, which go on while it is applied and
 * for a while afterwards. A statement is allowed where a comment before it says since when nothing uses what it takes
 * away: `-- unused since 0.2.0`. Tables that the same file makes are nobody's yet.
 */
export function contractionsIn(sql: string): string[] {
  const statements = statementsOf(sql)
  const own = new Set(
    statements.flatMap(({ code }) => /^create table (?:if not exists )?(\w+)/.exec(code)?.[1] ?? []),
  )
  return statements
    .filter(({ code, comment }) => !own.has(subjectOf(code)) && !/unused since \d+\.\d+\.\d+/.test(comment))
    .flatMap(({ code }) =>
      contractions.filter(([pattern]) => pattern.test(code)).map(([, why]) => `${code}: ${why}`),
    )
}

const contractions: [RegExp, string][] = [
  [/^drop (table|view|function|schema|type)\b/, 'the previous version may use it'],
  [/^alter \w+ .*\brename\b/, 'the previous version knows the old name'],
  [
    /^alter table .*\bdrop (?!constraint|default|not null|expression|identity)/,
    'the previous version may use it',
  ],
  [/^alter table .*\bset not null\b/, 'the previous version may leave it empty'],
  [/^alter table .*\bdrop default\b/, 'the previous version may rely on it'],
  [
    /^alter table .*\b(?:set data )?type\b/,
    'the previous version reads the old type, and every row is rewritten',
  ],
  [
    /^alter table (?!.*\bdefault\b).*\badd (?:column )?(?!constraint\b).*\bnot null\b/,
    'the previous version leaves it empty',
  ],
  [
    /^alter table .*\badd (?:constraint \w+ )?(?:check|unique|primary key|foreign key|exclude)\b/,
    'the previous version may write what it forbids',
  ],
  // It leaves a new column at its default.
  [
    /^alter table (?!.*\bdefault\b).*\badd (?:column )?.*\breferences\b/,
    'the previous version may write what it forbids',
  ],
  [/^create unique index\b/, 'the previous version may write what it forbids'],
  [/^create (?:or replace )?(?:constraint )?trigger\b/, 'it changes what the previous version writes'],
  [/^(?:truncate|delete)\b/, 'the previous version may need the rows'],
]

/** Each statement in one line of lower case, without strings and bodies of functions, and the comment before it. */
function statementsOf(sql: string): Statement[] {
  const bare = sql.replaceAll(/\$(\w*)\$.*?\$\1\$/gs, "''").replaceAll(/'(?:[^']|'')*'/g, "''")
  return bare.split(';').flatMap((part) => {
    const comment = (part.match(/--.*/g) ?? []).join(' ')
    const code = part.replaceAll(/--.*/g, ' ').replaceAll(/\s+/g, ' ').trim().toLowerCase()
    return code === '' ? [] : [{ code, comment }]
  })
}

function subjectOf(code: string): string {
  return (
    /^(?:alter table (?:if exists )?(?:only )?|create (?:unique )?index .*? on |create trigger .*? on |truncate (?:table )?|delete from )(\w+)/.exec(
      code,
    )?.[1] ?? ''
  )
}

interface Statement {
  code: string
  comment: string
}
