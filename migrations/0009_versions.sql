-- Which state of the model's file a prediction was accepted under: the id that the catalogue gives it. Predictions of
-- older processes have none.
alter table predictions add column version text;
