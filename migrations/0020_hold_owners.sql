-- Which process is at a call. One that lost its call to another must not give back what is held for it by then.
alter table call_holds add column owner uuid;
