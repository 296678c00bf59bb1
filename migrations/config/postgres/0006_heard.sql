-- What a pod's folder holds of a target if the pod died before it heard of the epoch in data_epoch; 0 for nothing.
ALTER TABLE assignment ADD COLUMN data_before bigint;
