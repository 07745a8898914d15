-- What finds entries that are few among many: those of one prediction, of one call, and of each kind but charges.
create index ledger_entries_of_prediction on ledger_entries (prediction_id) where prediction_id is not null;
create index ledger_entries_of_call on ledger_entries (call_id) where call_id is not null;
create index ledger_entries_kind on ledger_entries (account_id, kind, id) where kind <> 'charge';
