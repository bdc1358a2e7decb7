-- Do heads trained on one vendor's scanners work on another's? Mean AUROC by category of conditions.
-- columns:
--   sequence_set      t1, t2, other, all
--   category          of the conditions; every
--   train_vendor      vendor of the train patients; all
--   test_vendor       vendor of the test patients
--   n_conditions      conditions that the mean is over
--   n_train_patients  patients trained on
--   n_test_patients   patients tested
--   auroc             mean AUROC; null when not evaluable
--   auroc_low         lower end of the 95 % bootstrap interval over patients
--   auroc_high        upper end
--   difference        to training on the tested vendor, same patients and conditions
--   difference_low    lower end of its interval
--   difference_high   upper end
--   reason            why not evaluable; null otherwise
SELECT
    vendors.sequence_set,
    vendors.category,
    vendors.train_vendor,
    vendors.test_vendor,
    vendors.n_conditions,
    vendors.n_train_patients,
    vendors.n_test_patients,
    vendors.auroc,
    vendors.auroc_low,
    vendors.auroc_high,
    vendors.difference,
    vendors.difference_low,
    vendors.difference_high,
    vendors.reason
FROM probes.vendors AS vendors
LEFT JOIN (SELECT category, MIN(position) AS position FROM labels.conditions GROUP BY category) AS categories
    ON categories.category = vendors.category
ORDER BY
    vendors.sequence_set,
    -- The mean over every condition first, then the categories as they are listed.
    categories.position NULLS FIRST,
    vendors.train_vendor <> 'all',
    vendors.train_vendor,
    vendors.test_vendor;
